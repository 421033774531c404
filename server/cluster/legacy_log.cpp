#include "cluster/legacy_log.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "replication/legacy_log.h"
#include "wire/log_entry.h"

namespace meridian::server {
namespace {

constexpr size_t answer_bytes_max = 1 << 20;
constexpr size_t answer_entries_max = 5000;
constexpr size_t page_entries = 1000;
constexpr size_t page_bytes = 1 << 20;

struct Answer {
    node::Store& store;
    uint64_t node_id;
    std::function<void(std::string)> done;
    replication::LegacyLogWriter writer{answer_bytes_max, answer_entries_max};
    bool restarted = false;

    void finish() { done(std::move(writer).finish()); }
};

void read_on(const std::shared_ptr<Answer>& answer, uint64_t position) {
    answer->store.read_log(position, page_entries, page_bytes, [answer, position](const node::LogPage& page) {
        if (page.gone && page.error.empty() && !std::exchange(answer->restarted, true))
            return read_on(answer, page.floor);
        for (const node::LogEntry& entry : page.entries) {
            if (entry.origin_node_id != answer->node_id) continue;
            auto payload = wire::decode_log_entry(entry.payload);
            if (!payload) continue;
            if (!answer->writer.add({entry.position, entry.name.namespace_name, entry.name.key,
                                     std::move(payload->op_bytes), entry.wall_ms}))
                return answer->finish();
        }
        if (!page.error.empty() || page.entries.empty()) return answer->finish();
        read_on(answer, page.next_position);
    });
}

}  // namespace

void read_legacy_log(node::Store& store, uint64_t node_id, uint64_t from_position,
                     std::function<void(std::string bytes)> done) {
    read_on(std::make_shared<Answer>(Answer{store, node_id, std::move(done)}), std::max<uint64_t>(from_position, 1));
}

}  // namespace meridian::server
