#include "cluster/cluster.h"

#include <algorithm>
#include <utility>

#include "cluster/members_file.h"
#include "config/node_identity.h"
#include "log.h"
#include "node/key_digest.h"
#include "plugin_services.h"

namespace meridian::server {
namespace {

constexpr uint64_t remember_interval_us = 10'000'000;
// When each was last heard is written again after this, if nobody has come or gone.
constexpr uint64_t remember_anew_us = 3'600'000'000;

}  // namespace

Cluster::Cluster(const config::Settings& settings, const Environment& environment)
    : settings_(settings), clock_(environment.clock), random_(environment.random), lane_(environment.clock) {}

Cluster::~Cluster() {
    lane_.stop();
}

Result<std::unique_ptr<Cluster>> Cluster::make(const config::Settings& settings,
                                               const std::vector<TransportPlugin>& plugins, uint64_t node_id,
                                               const Environment& environment) {
    std::unique_ptr<Cluster> cluster(new Cluster(settings, environment));
    for (const TransportPlugin& plugin : plugins) {
        std::string instance = "transport_" + plugin.name;
        std::replace(instance.begin(), instance.end(), '-', '_');
        auto transport = plugin::open_transport(
            plugin.loaded, plugin.name, plugin.configuration,
            plugin_services(environment.clock, environment.random, cluster->lane_, environment.metrics,
                            "transport " + plugin.name, std::move(instance)),
            {node_id, config::node_id_text(node_id)});
        if (!transport) return transport.error();
        cluster->transports_.push_back(*std::move(transport));
    }
    return cluster;
}

Result<void> Cluster::start(node::Node& node, ClusterEvents events) {
    port_ = node.replication();
    replication::ReplicationOptions options;
    options.interval_ms = settings_.anti_entropy_interval_ms;
    options.startup_answers_ms = std::min(options.startup_answers_ms, settings_.startup_catchup_ms);
    options.startup_catchup_ms = settings_.startup_catchup_ms;
    options.retention_ms = settings_.log_retention_ms;
    // Who asks for it signs nothing.
    options.legacy_log = settings_.legacy_wal == "on" && settings_.cluster_authentication != "require";
    const Result<Members> members = load_members(settings_.data_dir);
    if (members) {
        options.known_members = *members;
    } else {
        log_line(LogLevel::warning, members.error().message);
    }
    replication::ReplicationEvents told;
    told.ready = [this] { ready_.set_value(); };
    told.awareness = std::move(events.awareness);
    told.revoke_sessions = std::move(events.revoke_sessions);
    told.met = [this] { lane_.post([this] { remember(false); }); };
    told.alarm = [](const replication::Alarm& alarm) {
        log_line(LogLevel::warning, alarm.text, {{"alarm", replication::alarm_name(alarm.kind)}});
    };
    std::vector<replication::Transport*> transports;
    for (const auto& each : transports_) transports.push_back(each.get());
    replicator_ =
        std::make_unique<replication::Replicator>(lane_, clock_, random_, *port_,
                                                  replication::Seal(settings_.cluster_id, settings_.cluster_secret,
                                                                    settings_.cluster_authentication == "require"),
                                                  options, std::move(transports), std::move(told));
    if (Result<void> started = replicator_->start(); !started) return started;
    remember_later();
    return {};
}

// A process that ends without a word leaves behind whom it had met until shortly before.
void Cluster::remember_later() {
    lane_.post_after(remember_interval_us, [this] {
        remember(false);
        remember_later();
    });
}

void Cluster::remember(bool always) {
    const Members members = replicator_->members();
    const std::lock_guard lock(remembered_mutex_);
    const bool same = members.size() == remembered_.size() &&
                      std::equal(members.begin(), members.end(), remembered_.begin(),
                                 [](const auto& left, const auto& right) { return left.first == right.first; });
    const uint64_t now_us = clock_.monotonic_us();
    if (!always && same && now_us < remembered_us_ + remember_anew_us) return;
    if (Result<void> saved = save_members(settings_.data_dir, members); !saved) {
        log_line(LogLevel::warning, saved.error().message);
        return;
    }
    remembered_ = members;
    remembered_us_ = now_us;
}

void Cluster::stop(uint64_t deadline_us) {
    std::promise<void> done;
    std::future<void> stopped = done.get_future();
    replicator_->stop(deadline_us, [&done] { done.set_value(); });
    stopped.wait();
    remember(true);
}

void Cluster::close(uint64_t deadline_us) {
    if (replicator_) replicator_->close(deadline_us);
    lane_.stop();
    replicator_.reset();
}

void Cluster::status(std::function<void(replication::ClusterStatus)> done) {
    lane_.post([this, done = std::move(done)] { done(replicator_->status()); });
}

void Cluster::digests(std::optional<node::KeyName> after, size_t count_max,
                      std::function<void(node::DigestPage)> done) {
    port_->digest_keys(std::move(after), count_max, node::digest_key(settings_.cluster_id), std::move(done));
}

}  // namespace meridian::server
