#include "metrics/metrics_page.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <limits>

#include "config/node_identity.h"
#include "metrics/cluster_metrics.h"
#include "metrics/page.h"
#include "metrics/plugin_metrics.h"
#include "net/edge_loop.h"
#include "node/store.h"
#include "server_version.h"

namespace meridian::server {
namespace {

template <class Member>
uint64_t sum(const EdgeShared& shared, Member member) {
    uint64_t total = 0;
    for (const EdgeLoop* loop : shared.loops) total += (loop->statistics().*member).get();
    return total;
}

void add_node(Page& page, const EdgeShared& shared) {
    const node::NodeStatistics node = shared.node->statistics();
    page.gauge("writable", "1 while the node takes writes", node.writable);
    page.counter("ops_total", "Ops that were accepted, those that changed nothing included", node.writes_accepted);
    page.counter("writes_rejected_total", "Requests refused because an op was invalid", node.writes_rejected);
    page.counter("writes_refused_total", "Requests refused because of load or the state of the store",
                 node.writes_refused);
    page.counter("commit_groups_total", "Groups made durable", node.groups_committed);
    page.counter("wal_entries_total", "Log entries made durable", node.entries_committed);
    page.counter("wal_bytes_total", "Bytes of log entries made durable", node.bytes_committed);
    page.gauge("commit_pending_entries", "Log entries that are applied and not yet durable", node.pending_entries);
    page.gauge("keys_resident", "Keys in memory", node.keys_resident);
    page.gauge("keys_resident_bytes", "Memory charged to them", node.resident_bytes);
    page.counter("keys_loaded_total", "Keys read from the store", node.keys_loaded);
    page.counter("keys_evicted_total", "Keys dropped from memory to make room", node.keys_evicted);
    page.counter("states_built_total", "States made ready for clients; all who ask between two changes share one",
                 node.states_built);
    page.counter("checkpoints_total", "Snapshots of keys written", node.checkpoints);
    page.counter("checkpoint_bytes_total", "Bytes of those snapshots", node.checkpoint_bytes);
    page.counter("unreadable_loads_total", "Loads of keys that could not be read", node.unreadable_loads);
    page.counter("keys_set_aside_total", "Keys that were not understood, whose log entries went to their snapshot",
                 node.keys_set_aside);
}

void add_store(Page& page, const EdgeShared& shared) {
    const node::StoreUsage usage = shared.store->usage();
    page.gauge("store_failed", "1 after a write or sync failed: the store takes no writes until a restart",
               usage.failed);
    page.gauge("store_log_bytes", "Size of the log", usage.log_bytes);
    page.gauge("store_log_since_checkpoint_bytes", "Log that no snapshot covers yet", usage.log_bytes_since_checkpoint);
    page.gauge("store_log_available_bytes", "Space that the log may still take; 0 refuses writes",
               usage.log_bytes_available);
}

void add_edge(Page& page, const EdgeShared& shared) {
    using S = EdgeStatistics;
    page.gauge("connections", "Open connections", shared.connections.load(std::memory_order_relaxed));
    page.gauge("ws_connections_active", "Open WebSockets", sum(shared, &S::websockets));
    page.gauge("ws_guest_connections", "Open WebSockets on a loop that does not own their namespace",
               sum(shared, &S::guests));
    page.gauge("rooms", "Namespaces that a client is connected to", sum(shared, &S::rooms));
    page.metric("http_responses_total", "counter", "Answers to HTTP requests by class of status");
    for (size_t digit = 1; digit < 6; ++digit) {
        uint64_t total = 0;
        for (const EdgeLoop* loop : shared.loops) total += loop->statistics().http_responses[digit].get();
        page.value(total, "class=\"" + std::to_string(digit) + "xx\"");
    }
    page.counter("ws_messages_total", "Messages received from clients", sum(shared, &S::websocket_messages));
    page.counter("deltas_total", "Deltas made visible to clients", sum(shared, &S::deltas));
    page.counter("delta_sends_total", "Batches of deltas queued for a client", sum(shared, &S::delta_sends));
    page.counter("delta_bytes_total", "Bytes of those batches", sum(shared, &S::delta_bytes));
    page.counter("readers_too_slow_total", "Batches that a client was too slow to be sent whole",
                 sum(shared, &S::readers_too_slow));
}

void add_plugins(Page& page, const PluginMetrics& metrics) {
    metrics.visit([&page](const std::string& instance, const std::string& name, const PluginMetrics::Value& value) {
        const std::string full = "plugin_" + instance + '_' + name;
        switch (value.kind) {
            case plugin::MetricKind::counter:
                page.metric((full + "_total").c_str(), "counter", "Reported by the plug-in");
                return page.value(value.sum);
            case plugin::MetricKind::gauge:
                page.metric(full.c_str(), "gauge", "Reported by the plug-in");
                return page.value(value.sum);
            case plugin::MetricKind::histogram:
                page.metric((full + "_sum").c_str(), "counter", "Sum of what the plug-in observed");
                page.value(value.sum);
                page.metric((full + "_count").c_str(), "counter", "How often it observed");
                return page.value(value.count);
        }
    });
    page.counter("plugin_metrics_dropped_total", "Reports of plug-ins that could not be taken", metrics.dropped());
}

uint64_t open_descriptors() {
    uint64_t count = 0;
    if (DIR* directory = ::opendir("/proc/self/fd")) {
        while (::readdir(directory) != nullptr) ++count;
        ::closedir(directory);
        count -= 3;  // ".", ".." and the directory itself
    }
    return count;
}

double clock_seconds(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// Since the Unix epoch. The kernel keeps when a process began in ticks since the start of the machine.
double process_start_seconds() {
    std::ifstream file("/proc/self/stat");
    file.ignore(std::numeric_limits<std::streamsize>::max(), ')');  // the name may hold blanks
    std::string skipped;
    for (int field = 3; field < 22; ++field) file >> skipped;
    double ticks = 0;
    file >> ticks;
    return clock_seconds(CLOCK_REALTIME) - clock_seconds(CLOCK_BOOTTIME) +
           ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

void add_process(Page& page) {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    page.metric("process_cpu_seconds_total", "counter", "CPU time used by this process");
    page.value(seconds(usage.ru_utime) + seconds(usage.ru_stime));
    uint64_t size_pages = 0, resident_pages = 0;
    std::ifstream("/proc/self/statm") >> size_pages >> resident_pages;
    page.gauge("process_resident_bytes", "Memory of this process",
               resident_pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)));
    page.metric("process_start_time_seconds", "gauge", "When this process began, since the Unix epoch");
    page.value(process_start_seconds());
    page.gauge("process_open_descriptors", "Open file descriptors", open_descriptors());
}

}  // namespace

std::string metrics_page(const EdgeShared& shared, const replication::ClusterStatus* cluster) {
    Page page;
    page.metric("build_info", "gauge", "Version of this server");
    page.value(uint64_t{1}, "version=\"" MERIDIAN_VERSION "\"");
    page.metric("node_info", "gauge", "Id of this node");
    page.value(uint64_t{1}, "node_id=\"" + config::node_id_text(config::node_id_of(*shared.first_settings)) + "\"");
    page.gauge("draining", "1 while the node is stopping", shared.draining.load(std::memory_order_relaxed));
    add_node(page, shared);
    add_store(page, shared);
    add_edge(page, shared);
    if (cluster != nullptr) add_cluster(page, *cluster);
    add_plugins(page, *shared.plugin_metrics);
    add_process(page);
    return page.take();
}

}  // namespace meridian::server
