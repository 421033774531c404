#include "metrics/cluster_metrics.h"

#include <algorithm>

namespace meridian::server {
namespace {

using Counters = replication::ReplicationCounters;

struct Counted {
    const char* name;
    const char* help;
    uint64_t Counters::*count;
};

constexpr Counted counters[] = {
    {"cluster_entries_published_total", "Own entries given to a transport, once for each",
     &Counters::entries_published},
    {"cluster_entries_announced_total", "Own entries too large for a transport, of which only the number was told",
     &Counters::entries_announced},
    {"cluster_entries_skipped_total",
     "Own entries not published because a transport was down or behind; peers ask for them",
     &Counters::entries_skipped},
    {"cluster_hellos_sent_total", "Hellos sent", &Counters::hellos_sent},
    {"cluster_messages_sent_total", "Messages to other nodes, hellos included", &Counters::messages_sent},
    {"cluster_sends_failed_total", "Messages that a transport did not take", &Counters::sends_failed},
    {"cluster_envelopes_received_total", "Envelopes received", &Counters::envelopes_received},
    {"cluster_messages_received_total", "Messages of other nodes received", &Counters::messages_received},
    {"cluster_entries_merged_total", "Entries of other nodes made durable", &Counters::entries_merged},
    {"cluster_entries_duplicate_total", "Entries received that were held already", &Counters::entries_duplicate},
    {"cluster_entries_dropped_total", "Entries for which there was no room; they are asked for later",
     &Counters::entries_dropped},
    {"cluster_entries_conflicting_total", "Entries whose number was held with other content",
     &Counters::entries_conflicting},
    {"cluster_merges_failed_total", "Merges that the node did not carry out; they are tried again",
     &Counters::merges_failed},
    {"cluster_batches_held_total", "Batches that waited for their last entry", &Counters::batches_held},
    {"cluster_legacy_deltas_total", "Deltas of nodes of the older implementation", &Counters::legacy_deltas},
    {"cluster_dropped_invalid_total", "Messages dropped: no message, or nonsense in it", &Counters::dropped_invalid},
    {"cluster_dropped_foreign_total", "Messages dropped: of another cluster", &Counters::dropped_foreign},
    {"cluster_dropped_forged_total", "Messages dropped: a bad or missing signature", &Counters::dropped_forged},
    {"cluster_dropped_replayed_total", "Messages dropped: repeated, or too old", &Counters::dropped_replayed},
    {"cluster_dropped_own_total", "Messages dropped: this node's own", &Counters::dropped_own},
    {"cluster_dropped_oversized_total", "Messages dropped: larger than the transport's limit",
     &Counters::dropped_oversized},
    {"cluster_dropped_unknown_total", "Messages dropped: of an unknown kind", &Counters::dropped_unknown},
    {"cluster_dropped_not_for_us_total", "Messages dropped: for another node", &Counters::dropped_not_for_us},
    {"cluster_refused_busy_total", "Messages not taken because there was no room", &Counters::refused_busy},
    {"cluster_gaps_total", "Gaps noticed in what was received", &Counters::gaps},
    {"cluster_pulls_sent_total", "Requests for missing entries", &Counters::pulls_sent},
    {"cluster_pulls_failed_total", "Such requests without an answer", &Counters::pulls_failed},
    {"cluster_pulls_served_total", "Answers to such requests of others", &Counters::pulls_served},
    {"cluster_pulls_refused_total", "Such requests of others refused because of load", &Counters::pulls_refused},
    {"cluster_transfers_started_total", "State transfers begun", &Counters::transfers_started},
    {"cluster_transfers_finished_total", "State transfers finished", &Counters::transfers_finished},
    {"cluster_transfers_failed_total", "State transfers given up", &Counters::transfers_failed},
    {"cluster_states_received_total", "States of keys received whole", &Counters::states_received},
    {"cluster_scans_served_total", "Hash trees made for others", &Counters::scans_served},
    {"cluster_origins_skipped_total", "Gaps that nobody could fill", &Counters::origins_skipped},
    {"cluster_awareness_sent_total", "Awareness updates sent to other nodes", &Counters::awareness_sent},
    {"cluster_awareness_received_total", "Awareness updates of other nodes", &Counters::awareness_received},
    {"cluster_revocations_sent_total", "Revocations of sessions sent to other nodes", &Counters::revocations_sent},
    {"cluster_revocations_received_total", "Revocations of sessions of other nodes", &Counters::revocations_received},
};

}  // namespace

void add_cluster(Page& page, const replication::ClusterStatus& status) {
    page.gauge("cluster_ready", "1 once the node was level with its peers, or had waited long enough", status.ready);
    page.gauge("cluster_converged", "1 while this node and its live peers hold the same, as of their last words",
               status.converged);
    uint64_t alive = 0, silent = 0, offset_ms = 0;
    for (const replication::PeerStatus& peer : status.peers) {
        alive += peer.state == replication::PeerState::alive;
        silent += peer.state == replication::PeerState::dead;
        if (peer.clock_offset_ms) {
            const int64_t offset = *peer.clock_offset_ms;
            offset_ms = std::max(offset_ms, static_cast<uint64_t>(offset < 0 ? -offset : offset));
        }
    }
    page.gauge("cluster_peers_alive", "Other nodes that are heard", alive);
    page.gauge("cluster_peers_silent", "Other nodes that were heard and are silent now", silent);
    page.gauge("cluster_clock_offset_ms", "The greatest difference between a peer's clock and this node's", offset_ms);
    uint64_t lag = 0, waiting = 0, stopped = 0;
    for (const replication::OriginStatus& origin : status.origins) {
        lag += origin.highest > origin.held ? origin.highest - origin.held : 0;
        waiting += origin.waiting;
        stopped += origin.stopped;
    }
    page.gauge("cluster_lag_entries", "Entries that are known to exist and are not held here", lag);
    page.gauge("cluster_waiting_entries", "Entries received that wait for others before them", waiting);
    page.gauge("cluster_origins_stopped", "Origins whose entries cannot be merged", stopped);
    page.gauge("cluster_merge_backlog_bytes", "Entries received and not yet durable", status.merge_backlog_bytes);
    page.gauge("cluster_pulls_outstanding", "Requests for missing entries without an answer yet",
               status.pulls_outstanding);
    uint64_t alarms = 0;
    for (const replication::Alarm& alarm : status.alarms) alarms += alarm.active;
    page.gauge("cluster_alarms", "Alarms that hold; GET /v1/cluster has their texts", alarms);
    page.metric("cluster_transport_up", "gauge", "1 while messages can be exchanged");
    for (const replication::TransportStatus& transport : status.transports)
        page.value(uint64_t{transport.up}, "transport=\"" + transport.name + "\"");
    page.metric("cluster_transport_waiting_entries", "gauge", "Own entries that a transport has yet to take");
    for (const replication::TransportStatus& transport : status.transports)
        page.value(transport.waiting_entries, "transport=\"" + transport.name + "\"");
    for (const Counted& each : counters) page.counter(each.name, each.help, status.counters.*each.count);
}

}  // namespace meridian::server
