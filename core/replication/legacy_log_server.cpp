#include "replication/legacy_log_server.h"

#include <algorithm>
#include <map>
#include <utility>

#include "replication/legacy_log.h"
#include "wire/log_entry.h"

namespace meridian::replication {

void LegacyLogServer::serve(Endpoint& endpoint, uint64_t reply_id, std::optional<uint64_t> from) {
    const ReplicationOptions& options = context_.options;
    const uint64_t limit = endpoint.transport().message_bytes_max();
    if (!options.legacy_log || !from || serving_ >= options.pulls_served_max) {
        endpoint.transport().reply(reply_id, LegacyLogWriter(0, 0).finish());
        return;
    }
    // Where each own incarnation begins in their numbering.
    std::map<Origin, uint64_t> offsets;
    std::vector<node::EntryRange> ranges;
    uint64_t offset = 0;
    for (const auto& [origin, head] : context_.port.vector()) {
        if (origin.node_id != context_.self.node_id) continue;
        offsets[origin] = offset;
        if (*from <= offset + head) {
            const uint64_t first = *from > offset ? *from - offset : 1;
            // What the log no longer has the asker cannot get.
            const uint64_t floor = node::held(context_.port.floors(), origin);
            ranges.push_back({origin, std::max(first, floor) - 1, head});
        }
        offset += head;
    }
    ++serving_;
    const size_t bytes_max = std::min<size_t>(options.pull_bytes_max, limit);
    context_.port.read_entries(
        std::move(ranges), options.pull_entries_max, bytes_max,
        context_.here([this, &endpoint, reply_id, offsets, limit](const node::EntryPage& page) {
            --serving_;
            // An array of integers takes up to twice the bytes.
            LegacyLogWriter writer(limit / 2, context_.options.pull_entries_max);
            for (const node::RemoteEntry& entry : page.entries) {
                const Result<wire::LogEntryPayload> payload = wire::decode_log_entry(entry.payload);
                const auto begins = offsets.find(entry.origin);
                if (!payload || begins == offsets.end()) continue;
                if (!writer.add({begins->second + entry.sequence, entry.name.namespace_name, entry.name.key,
                                 payload->op_bytes, entry.wall_ms})) {
                    break;
                }
            }
            const std::string bytes = std::move(writer).finish();
            // One op that is too large by itself cannot be told.
            endpoint.transport().reply(reply_id, bytes.size() <= limit ? bytes : LegacyLogWriter(0, 0).finish());
        }));
}

}  // namespace meridian::replication
