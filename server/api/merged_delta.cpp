#include "api/merged_delta.h"

namespace meridian::server {
namespace {

template <class T>
void append_all(std::vector<T>& whole, const std::vector<T>& piece) {
    whole.insert(whole.end(), piece.begin(), piece.end());
}

void append(crdt::GCounterClientDelta& whole, const crdt::GCounterClientDelta& piece) {
    append_all(whole.counters, piece.counters);
}

void append(std::optional<crdt::GCounterClientDelta>& whole, const std::optional<crdt::GCounterClientDelta>& piece) {
    if (!piece) return;
    if (!whole) whole.emplace();
    append(*whole, *piece);
}

void append(crdt::PnCounterClientDelta& whole, const crdt::PnCounterClientDelta& piece) {
    append(whole.pos, piece.pos);
    append(whole.neg, piece.neg);
}

// An element's tags may be spread over two pieces: it then ends one and begins the next.
void append(crdt::OrSetClientDelta::Elements& whole, const crdt::OrSetClientDelta::Elements& piece) {
    for (const auto& element : piece) {
        if (!whole.empty() && whole.back().first == element.first) {
            append_all(whole.back().second, element.second);
        } else {
            whole.push_back(element);
        }
    }
}

void append(crdt::OrSetClientDelta& whole, const crdt::OrSetClientDelta& piece) {
    append(whole.adds, piece.adds);
    append(whole.removes, piece.removes);
}

void append(crdt::LwwRegisterClientDelta& whole, const crdt::LwwRegisterClientDelta& piece) {
    if (piece.entry) whole.entry = piece.entry;
}

void append(crdt::PresenceClientDelta& whole, const crdt::PresenceClientDelta& piece) {
    append_all(whole.changes, piece.changes);
}

void append(crdt::RgaClientDelta& whole, const crdt::RgaClientDelta& piece) {
    append_all(whole.ops, piece.ops);
}

void append(crdt::TreeClientDelta& whole, const crdt::TreeClientDelta& piece) {
    append_all(whole.ops, piece.ops);
    append_all(whole.discarded_moves, piece.discarded_moves);
}

void append(crdt::CrdtMapClientDelta& whole, const crdt::CrdtMapClientDelta& piece);

// Two variants of equal alternatives.
template <class Variant>
void append_variant(Variant& whole, const Variant& piece) {
    std::visit(
        [&whole](const auto& value) {
            using Alternative = std::decay_t<decltype(value)>;
            if (auto* same = std::get_if<Alternative>(&whole)) append(*same, value);
        },
        piece);
}

void append(crdt::CrdtMapClientDelta& whole, const crdt::CrdtMapClientDelta& piece) {
    for (const auto& entry : piece.deltas) {
        if (!whole.deltas.empty() && whole.deltas.back().first == entry.first) {
            append_variant(whole.deltas.back().second, entry.second);
        } else {
            whole.deltas.push_back(entry);
        }
    }
}

}  // namespace

void append_piece(crdt::ClientDelta& whole, const crdt::ClientDelta& piece) {
    append_variant(whole, piece);
}

}  // namespace meridian::server
