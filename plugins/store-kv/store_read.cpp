// Reads of keys and of the log.
#include <algorithm>

#include "crc32c.h"
#include "store.h"

namespace meridian::store_kv {
namespace {

constexpr size_t chunk_keys = 64;              // keys that are looked up under one hold of the state mutex
constexpr uint64_t chunk_bytes_max = 4 << 20;  // of snapshots in memory at once, the last one aside
constexpr uint64_t gap_bytes_max = 1024;       // places closer than this are read together
constexpr uint64_t piece_bytes_max = 1 << 20;

struct Wanted {
    EntryPlace place;
    Segment* segment = nullptr;
    uint32_t key = 0;
    uint32_t index = 0;     // in the key's tail
    uint64_t in_arena = 0;  // where its payload was read to
};

// Reads the payloads into one buffer, places that lie close together with one call; says where each one is. What cannot
// be read or fails its checksum is an error of its key.
std::string read_places(std::vector<Wanted>& wanted, std::vector<std::string>& errors) {
    std::sort(wanted.begin(), wanted.end(), [](const Wanted& a, const Wanted& b) {
        if (a.segment != b.segment) return a.segment->header.number < b.segment->header.number;
        return a.place.offset < b.place.offset;
    });
    std::string arena;
    uint64_t bytes = 0;
    for (const Wanted& item : wanted) bytes += item.place.length;
    arena.reserve(static_cast<size_t>(bytes + bytes / 4));
    for (size_t first = 0; first < wanted.size();) {
        const uint64_t from = wanted[first].place.offset;
        uint64_t to = from + wanted[first].place.length;
        size_t last = first + 1;
        for (; last < wanted.size() && wanted[last].segment == wanted[first].segment; ++last) {
            const EntryPlace& place = wanted[last].place;
            if (place.offset > to + gap_bytes_max || place.offset + place.length - from > piece_bytes_max) break;
            to = place.offset + uint64_t{place.length};
        }
        const size_t base = arena.size();
        arena.resize(base + static_cast<size_t>(to - from));
        const int code = read_fully(*wanted[first].segment->file, from, arena.data() + base, arena.size() - base);
        for (; first < last; ++first) {
            Wanted& item = wanted[first];
            item.in_arena = base + item.place.offset - from;
            const auto payload = std::string_view(arena).substr(static_cast<size_t>(item.in_arena), item.place.length);
            if (code == 0 && crc32c(payload) == item.place.checksum) continue;
            errors[item.key] = unreadable_entry(*item.segment, item.place, code);
        }
    }
    return arena;
}

}  // namespace

std::string unreadable_entry(const Segment& segment, const EntryPlace& place, int code) {
    return segment.path + ": the entry of position " + std::to_string(place.position) + " at offset " +
           std::to_string(place.offset) +
           (code != 0 ? " cannot be read: " + error_text(code) : std::string(" fails its checksum"));
}

meridian_status KvStore::read_keys(const meridian_key_name* names, uint64_t count, abi::KeyRecordSink sink) {
    std::vector<std::string> joined;
    joined.reserve(static_cast<size_t>(count));
    for (uint64_t i = 0; i < count; ++i) {
        if (!abi::valid_name(names[i])) return MERIDIAN_INVALID;
        joined.push_back(join_name(abi::view(names[i].namespace_name), abi::view(names[i].key)));
    }
    return readers_.submit([this, sink, names = std::move(joined)](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED);
        const meridian_status status = abi::guarded(nullptr, [&]() -> meridian_status {
            for (size_t begin = 0; begin < names.size();) {
                begin = read_chunk(names, begin, std::min(names.size(), begin + chunk_keys), sink);
            }
            return MERIDIAN_OK;
        });
        sink.done(status, status == MERIDIAN_OK ? "" : "out of memory while reading keys");
    });
}

// Gives where the next chunk begins: not at `end` if these keys are large.
size_t KvStore::read_chunk(const std::vector<std::string>& names, size_t begin, size_t end,
                           const abi::KeyRecordSink& sink) {
    std::vector<std::string> errors(end - begin);
    std::vector<std::vector<meridian_bytes>> tails(end - begin);
    std::vector<uint64_t> last_positions(end - begin, 0);
    std::vector<std::vector<EntryPlace>> places(end - begin);
    std::vector<std::shared_ptr<Segment>> pinned;  // keeps the files while we read them
    {
        const std::lock_guard lock(state_mutex_);
        for (size_t i = 0; i < segments_.size(); ++i) pinned.push_back(segments_[i]);
        for (size_t i = begin; i < end; ++i) {
            if (const KeyTail* tail = index_.find(names[i])) places[i - begin] = tail->places;
        }
    }
    // After the places were copied: whatever a checkpoint drops from the index meanwhile is in these snapshots.
    const auto database = database_->read();
    std::vector<std::optional<SnapshotRow>> rows(end - begin);
    std::vector<std::vector<AsideEntry>> asides(end - begin);  // older than what the log still has
    std::vector<Wanted> wanted;
    uint64_t row_bytes = 0;
    for (size_t k = 0; k < rows.size(); ++k) {
        if (row_bytes > chunk_bytes_max) rows.resize(k);
        if (k == rows.size()) break;
        if (!database) {
            errors[k] = database.error().message;
            continue;
        }
        auto row = database->snapshot(names[begin + k]);
        if (!row) {
            errors[k] = row.error().message;
            continue;
        }
        rows[k] = std::move(*row);
        row_bytes += rows[k] ? rows[k]->size() : 0;
        uint64_t covered = rows[k] ? rows[k]->position : 0;
        auto aside = database->aside_entries(names[begin + k], covered);
        if (!aside) {
            errors[k] = aside.error().message;
            continue;
        }
        for (const AsideEntry& entry : *aside) {
            if (!entry.lost.empty()) errors[k] = entry.lost;
            covered = entry.position;
            last_positions[k] = entry.position;
        }
        asides[k] = std::move(*aside);
        auto index = static_cast<uint32_t>(asides[k].size());
        for (const EntryPlace& place : places[k]) {
            if (place.position <= covered) continue;
            const auto offset =
                static_cast<uint32_t>(place.segment - static_cast<uint32_t>(pinned.front()->header.number));
            wanted.push_back({place, pinned[offset].get(), static_cast<uint32_t>(k), index++, 0});
            last_positions[k] = place.position;
        }
        tails[k].resize(index);
    }
    for (size_t k = 0; k < rows.size(); ++k)
        for (size_t i = 0; i < asides[k].size(); ++i) tails[k][i] = abi::bytes(asides[k][i].payload);
    const std::string arena = read_places(wanted, errors);
    for (const Wanted& item : wanted) {
        tails[item.key][item.index] =
            abi::bytes(std::string_view(arena).substr(static_cast<size_t>(item.in_arena), item.place.length));
    }

    for (size_t k = 0; k < rows.size(); ++k) {
        const std::string& name = names[begin + k];
        meridian_key_record record{};
        record.struct_size = sizeof record;
        record.name = {abi::bytes(namespace_of(name)), abi::bytes(key_of(name))};
        if (!errors[k].empty()) {
            if (!places[k].empty()) note_unreadable(name);
            record.status = MERIDIAN_CORRUPT;
            record.message = abi::bytes(errors[k]);
            sink.record(record);
            continue;
        }
        if (rows[k] && !rows[k]->deleted) {
            record.has_snapshot = 1;
            record.snapshot = abi::bytes(rows[k]->state());
        }
        if (rows[k]) record.snapshot_position = rows[k]->position;
        record.tail = tails[k].data();
        record.tail_count = tails[k].size();
        record.tail_position = last_positions[k];
        sink.record(record);
    }
    return begin + rows.size();
}

meridian_status KvStore::read_log(uint64_t from_position, uint64_t entries_max, uint64_t bytes_max, abi::LogSink sink) {
    return readers_.submit([this, sink, from_position, entries_max, bytes_max](bool cancelled) {
        if (cancelled) return sink.done(MERIDIAN_CANCELLED, {}, from_position);
        uint64_t floor = 0;
        {
            const std::lock_guard lock(state_mutex_);
            floor = segments_.front()->header.first_position;
        }
        if (from_position < floor) return sink.gone(floor);
        Result<uint64_t> next = Error{"out of memory while reading the log"};
        abi::guarded(nullptr, [&]() -> meridian_status {
            next = read_page(from_position, entries_max, bytes_max, sink);
            return MERIDIAN_OK;
        });
        if (next) {
            sink.done(MERIDIAN_OK, {}, *next);
        } else {
            sink.done(MERIDIAN_CORRUPT, next.error().message, from_position);
        }
    });
}

// Where to begin reading a segment for this position, and where its durable records end.
Result<Mark> KvStore::locate(Segment& segment, uint64_t position, uint64_t& end_offset) {
    std::vector<Mark> marks;
    uint64_t sequence_end = 0;
    {
        const std::lock_guard lock(state_mutex_);
        if (!segment.marks_complete) {
            const auto next = segments_.find(segment.header.number + 1);
            sequence_end = next ? next->header.first_sequence : segment.next_sequence;
        } else {
            end_offset = segment.end_offset;
            auto after = std::upper_bound(segment.marks.begin(), segment.marks.end(), position,
                                          [](uint64_t wanted, const Mark& mark) { return wanted < mark.position; });
            if (after == segment.marks.begin()) {
                return Mark{segment.header.first_position, segment.header.first_sequence, segment_header_size};
            }
            return *std::prev(after);
        }
    }
    // An older segment, met for the first time since the store was opened.
    SegmentReader reader(segment, segment_header_size, segment.header.capacity);
    RecordAt record;
    uint64_t at = segment.header.first_position;
    for (uint64_t sequence = segment.header.first_sequence; sequence < sequence_end; ++sequence) {
        const auto step = reader.next(sequence, record);
        if (step == SegmentReader::Step::io_error) return Error{reader.error()};
        if (step == SegmentReader::Step::stop) {
            return Error{segment.path + ": log record " + std::to_string(sequence) + " at offset " +
                         std::to_string(reader.offset()) + " is damaged"};
        }
        add_mark(marks, {at, sequence, record.offset});
        const auto summary = read_group(
            record.payload, [](const EntryView&) {}, [](const MetadataView&) {});
        if (!summary) return Error{segment.path + ": log record " + std::to_string(sequence) + " is malformed"};
        at += summary->entry_count;
    }
    {
        const std::lock_guard lock(state_mutex_);
        if (!segment.marks_complete) {
            // The writer may have added records, and marks, behind what has been read.
            for (const Mark& mark : segment.marks) {
                if (mark.offset >= reader.offset()) add_mark(marks, mark);
            }
            segment.marks = std::move(marks);
            segment.marks_complete = true;
            if (!segment.scanned) {
                segment.end_offset = reader.offset();
                segment.next_sequence = sequence_end;
                segment.next_position = at;
                segment.scanned = true;
            }
        }
    }
    return locate(segment, position, end_offset);
}

Result<uint64_t> KvStore::read_page(uint64_t from_position, uint64_t entries_max, uint64_t bytes_max,
                                    const abi::LogSink& sink) {
    uint64_t next = from_position;
    uint64_t entries = 0;
    uint64_t bytes = 0;
    bool full = false;
    while (!full && next <= durable_position_) {
        std::shared_ptr<Segment> segment;
        {
            const std::lock_guard lock(state_mutex_);
            segment = segments_.holding(next);
        }
        if (!segment) break;  // deleted meanwhile: the host asks again from here and learns the floor
        uint64_t end_offset = 0;
        const auto mark = locate(*segment, next, end_offset);
        if (!mark) return mark.error();
        SegmentReader reader(*segment, mark->offset, end_offset);
        RecordAt record;
        const uint64_t before = next;
        for (uint64_t sequence = mark->sequence; !full && reader.offset() < end_offset; ++sequence) {
            const auto step = reader.next(sequence, record);
            if (step == SegmentReader::Step::io_error) return Error{reader.error()};
            if (step == SegmentReader::Step::stop) {
                return Error{segment->path + ": log record " + std::to_string(sequence) + " at offset " +
                             std::to_string(reader.offset()) + " is damaged"};
            }
            read_group(
                record.payload,
                [&](const EntryView& view) {
                    if (full || view.position < next) return;
                    if (entries == entries_max || (entries != 0 && bytes + view.payload.size() > bytes_max)) {
                        full = true;
                        return;
                    }
                    meridian_log_entry entry{};
                    entry.struct_size = sizeof entry;
                    entry.position = view.position;
                    entry.origin_node_id = view.origin_node_id;
                    entry.origin_incarnation = view.origin_incarnation;
                    entry.origin_sequence = view.origin_sequence;
                    entry.wall_ms = view.wall_ms;
                    entry.deadline_ms = view.deadline_ms;
                    entry.name = {abi::bytes(namespace_of(view.name)), abi::bytes(key_of(view.name))};
                    entry.payload = abi::bytes(view.payload);
                    sink.entry(entry);
                    next = view.position + 1;
                    entries += 1;
                    bytes += view.payload.size();
                },
                [](const MetadataView&) {});
            full = full || entries == entries_max;
        }
        if (next == before) break;  // nothing newer in the log
    }
    return next;
}

}  // namespace meridian::store_kv
