#include "replication/pull_server.h"

#include <algorithm>
#include <utility>

namespace meridian::replication {

namespace {

// What an entry costs in a message besides its texts and bytes, at most.
constexpr size_t entry_message_bytes = 64;
constexpr size_t gone_bytes = 40;

}  // namespace

void PullServer::serve(const ReplyPath& path, Pull pull) {
    if (serving_ >= context_.options.pulls_served_max) {
        ++context_.counters.pulls_refused;
        return messenger_.reply(path, Refusal{"busy", busy_retry_ms});
    }
    ++serving_;
    ++context_.counters.pulls_served;
    const ReplicationOptions& options = context_.options;
    const size_t limit = messenger_.message_bytes_max(path);
    size_t bytes_max = options.pull_bytes_max;
    if (pull.bytes_max != 0) bytes_max = std::min<size_t>(bytes_max, pull.bytes_max);
    bytes_max = std::min(bytes_max, limit);
    size_t count_max = options.pull_entries_max;
    if (pull.count_max != 0) count_max = std::min<size_t>(count_max, pull.count_max);
    context_.port.read_entries(std::move(pull.want), count_max, bytes_max,
                               context_.here([this, path, limit](node::EntryPage page) {
                                   --serving_;
                                   answer(path, std::move(page), limit);
                               }));
}

void PullServer::answer(const ReplyPath& path, node::EntryPage page, size_t bytes_max) {
    Entries entries;
    entries.complete = page.complete;
    entries.gone = std::move(page.gone);
    entries.error = std::move(page.error);
    size_t bytes = message_overhead_bytes + entries.error.size() + entries.gone.size() * gone_bytes;
    for (node::RemoteEntry& entry : page.entries) {
        const size_t cost =
            entry.payload.size() + entry.name.namespace_name.size() + entry.name.key.size() + entry_message_bytes;
        if (bytes + cost > bytes_max) {
            entries.complete = false;
            if (entries.entries.empty()) {
                context_.alarm(AlarmKind::entry_too_large, to_text(entry.origin),
                               "entry " + std::to_string(entry.sequence) + " of origin " + to_text(entry.origin) +
                                   " needs a message of " + std::to_string(bytes + cost) + " bytes; transport " +
                                   path.endpoint->transport().name() + " and its peer take at most " +
                                   std::to_string(bytes_max));
                return messenger_.reply(path, Refusal{"too-large", 10'000});
            }
            break;
        }
        bytes += cost;
        entries.entries.push_back(std::move(entry));
    }
    messenger_.reply(path, std::move(entries));
}

}  // namespace meridian::replication
