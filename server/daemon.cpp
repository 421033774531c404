#include "daemon.h"

#include <sodium.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>

#include "auth/signing_key_file.h"
#include "cluster/cluster.h"
#include "config/node_identity.h"
#include "log.h"
#include "loop/event_loop.h"
#include "loop/system_environment.h"
#include "loop/thread_lane.h"
#include "loop/time_slices.h"
#include "metrics/plugin_metrics.h"
#include "net/edge_loop.h"
#include "net/listener.h"
#include "plugin/loader.h"
#include "plugin/plugin_configuration.h"
#include "plugin/store_adapter.h"
#include "plugin_services.h"
#include "reload.h"
#include "store_setup.h"
#include "transport_setup.h"
#include "wire/client_message.h"

namespace meridian::server {
namespace {

sigset_t handled_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
    return set;
}

const char* signal_name(int signal) {
    return signal == SIGTERM ? "SIGTERM" : "SIGINT";
}

sigset_t stop_signals() {
    sigset_t set = handled_signals();
    sigdelset(&set, SIGHUP);
    return set;
}

// How long an event loop, which never blocks, may take for a task before somebody is told.
constexpr uint64_t loop_patience_us = 10'000'000;

node::NodeLimits node_limits(const config::Settings& settings) {
    node::NodeLimits limits;
    limits.cache_bytes_max = settings.cache_bytes;
    limits.waiting_requests_max = settings.waiting_requests;
    limits.pending_commit_bytes_max = settings.pending_commit_bytes;
    limits.group_bytes_max = settings.group_bytes;
    limits.key_bytes_max = settings.key_bytes;
    limits.batch_items_max = settings.batch_items;
    limits.idempotency_retention_ms = settings.idempotency_retention_ms;
    limits.checkpoint_interval_ms = settings.checkpoint_interval_ms;
    limits.checkpoint_log_bytes = settings.checkpoint_log_bytes;
    limits.log_retention_ms = settings.log_retention_ms;
    limits.log_retention_bytes = settings.log_retention_bytes;
    limits.tombstone_grace_ms = settings.tombstone_grace_ms;
    limits.crdt.rga_elements_max = settings.rga_elements;
    limits.crdt.tree_nodes_max = settings.tree_nodes;
    limits.crdt.orset_tags_max = settings.orset_tags;
    limits.crdt.counter_slots_max = settings.counter_slots;
    limits.crdt.presence_entries_max = settings.presence_entries;
    limits.crdt.map_keys_max = settings.map_keys;
    limits.crdt.register_value_bytes_max = settings.register_value_bytes;
    return limits;
}

// As many descriptors as we are allowed to ask for: each connection takes one.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

// One event loop, its thread and its part of the edge.
struct LoopThread {
    LoopThread(EdgeShared& shared, Clock& clock, uint32_t index) : loop(clock), edge(shared, loop, index) {}
    EventLoop loop;
    EdgeLoop edge;
    std::thread thread;
};

void run_loop(LoopThread& each) {
    // As tools for threads show it.
    ::pthread_setname_np(::pthread_self(), ("loop-" + std::to_string(each.edge.index())).c_str());
    each.loop.run();
}

class Daemon {
public:
    Daemon(const config::Settings& settings, const config::SettingsSources& sources)
        : settings_(std::make_shared<const config::Settings>(settings)), sources_(sources) {}
    ~Daemon() { stop_threads(); }

    Result<void> start() {
        if (Result<void> prepared = prepare(); !prepared) return prepared;
        if (Result<void> opened = open_node(); !opened) return opened;
        if (Result<void> joined = join_cluster(); !joined) {
            stop_node();
            return joined;
        }
        for (const BoundSocket& bound : bound_) {
            Result<void> listening = start_listening(bound);
            if (listening) continue;
            stop_node();
            return listening;
        }
        for (auto& each : loops_) each->loop.post([edge = &each->edge] { edge->start(); });
        for (const BoundSocket& bound : bound_) {
            loops_.front()->loop.post(
                [edge = &loops_.front()->edge, fd = bound.socket.get()] { edge->accept_from(fd); });
            log_line(LogLevel::info, "listening",
                     {{"address", bound.address},
                      {"node_id", config::node_id_text(node_id_)},
                      {"loops", uint64_t{loops_.size()}}});
        }
        ::sd_notify(0, "READY=1");
        return {};
    }

    void serve_until_signal() {
        serving_ = true;
        const sigset_t signals = handled_signals();
        for (;;) {
            int signal = std::exchange(stop_signal_, 0);
            if (signal == 0 && ::sigwait(&signals, &signal) != 0) continue;
            if (signal != SIGHUP) {
                log_line(LogLevel::info, "stopping", {{"signal", signal_name(signal)}});
                return;
            }
            notify_reloading();
            reload();
            ::sd_notify(0, "READY=1");
        }
    }

    void stop() {
        ::sd_notify(0, "STOPPING=1");
        shared_->draining = true;
        const uint64_t deadline_us = clock_.monotonic_us() + settings_->stop_timeout_ms * 1000;
        std::vector<std::future<void>> drained;
        for (auto& each : loops_) {
            auto done = std::make_shared<std::promise<void>>();
            drained.push_back(done->get_future());
            each->loop.post([edge = &each->edge, deadline_us, done] {
                edge->begin_drain(deadline_us, [done] { done->set_value(); });
            });
        }
        for (auto& each : drained) wait_for(each, deadline_us + loop_patience_us);
        if (cluster_) cluster_->stop(deadline_us);
        stop_node();
        log_line(LogLevel::info, "stopped");
    }

private:
    // Type=notify-reload of systemd wants to know when the reload began.
    void notify_reloading() {
        const std::string state = "RELOADING=1\nMONOTONIC_USEC=" + std::to_string(clock_.monotonic_us());
        ::sd_notify(0, state.c_str());
    }

    void reload() {
        Result<Reload> planned = plan_reload(*settings_, store_plugin_, transport_plugins_, sources_);
        if (!planned) {
            log_line(LogLevel::error, "the configuration is refused; the old settings stay",
                     {{"reason", planned.error().message}});
            return;
        }
        if (planned->store.changed) {
            if (Result<void> given = store_->reconfigure(planned->store.reloadable); !given) {
                log_line(LogLevel::error, "the configuration is refused; the old settings stay",
                         {{"reason", given.error().message}});
                return;
            }
        }
        store_plugin_.configuration = std::move(planned->store.effective);
        reload_transports(std::move(planned->transports));
        settings_ = std::make_shared<const config::Settings>(std::move(planned->settings));
        set_log_level(log_level_from_name(settings_->log_level));
        std::vector<std::future<void>> taken_over;
        for (auto& each : loops_) {
            auto done = std::make_shared<std::promise<void>>();
            taken_over.push_back(done->get_future());
            each->loop.post([edge = &each->edge, settings = settings_, done] {
                edge->use_settings(settings);
                done->set_value();
            });
        }
        if (!wait_for_loops(taken_over)) return;
        for (const std::string& name : planned->kept)
            log_line(LogLevel::warning, "a changed setting takes effect only after a restart", {{"setting", name}});
        std::string names;
        for (const std::string& name : planned->taken) names += (names.empty() ? "" : ",") + name;
        log_line(LogLevel::info, "reloaded the configuration", {{"changed", names}});
    }

    void reload_transports(std::vector<PluginReload> transports) {
        for (size_t i = 0; i < transports.size(); ++i) {
            PluginReload& each = transports[i];
            if (each.changed) {
                if (Result<void> given = cluster_->reconfigure(i, each.reloadable); !given) {
                    log_line(LogLevel::error, "a transport keeps its old settings",
                             {{"reason", given.error().message}});
                    continue;
                }
            }
            transport_plugins_[i].configuration = std::move(each.effective);
        }
    }

    Result<void> prepare() {
        if (::mkdir(settings_->data_dir.c_str(), 0700) != 0 && errno != EEXIST) {
            return Error{"data directory " + settings_->data_dir + ": " + std::strerror(errno)};
        }
        auto key = load_signing_key(settings_->signing_key, settings_->data_dir, true, random_);
        if (!key) return key.error();
        signing_key_ = key->key;
        if (!key->path.empty()) {
            log_line(LogLevel::info,
                     key->created ? "made a new signing key" : "using the signing key of the data directory",
                     {{"file", key->path}});
        }
        auto bound = bind_addresses(config::split_list(settings_->bind),
                                    static_cast<mode_t>(std::stoul(settings_->unix_socket_mode, nullptr, 8)));
        if (!bound) return bound.error();
        bound_ = std::move(bound).value();
        auto store_plugin = load_store_plugin(*settings_);
        if (!store_plugin) return store_plugin.error();
        store_plugin_ = std::move(store_plugin).value();
        node_id_ = config::node_id_of(*settings_);
        auto transport_plugins = load_transport_plugins(*settings_);
        if (!transport_plugins) return transport_plugins.error();
        transport_plugins_ = std::move(transport_plugins).value();
        if (transport_plugins_.empty()) {
            log_line(LogLevel::info, "a node alone: no transport is configured");
        } else {
            auto cluster = Cluster::make(*settings_, transport_plugins_, node_id_, {clock_, random_, plugin_metrics_});
            if (!cluster) return cluster.error();
            cluster_ = std::move(cluster).value();
        }
        auto store =
            plugin::open_store(store_plugin_.loaded, store_plugin_.configuration,
                               plugin_services(clock_, random_, commit_lane_, plugin_metrics_, "store", "store"));
        if (!store) return store.error();
        store_ = std::move(store).value();
        return {};
    }

    // A node that starts becomes level with its peers before it takes a write.
    Result<void> join_cluster() {
        if (!cluster_) return {};
        ClusterEvents events;
        events.awareness = [this](const replication::Awareness& awareness) {
            on_loop_of(awareness.namespace_name, [awareness](EdgeLoop& edge) {
                const wire::AwarenessBroadcast broadcast{awareness.client_id, awareness.key, awareness.data};
                edge.broadcast(awareness.namespace_name,
                               std::make_shared<const std::string>(wire::encode_server_message(broadcast)));
            });
        };
        events.revoke_sessions = [this](const replication::RevokeSessions& order) {
            on_loop_of(order.namespace_name,
                       [order](EdgeLoop& edge) { edge.end_sessions(order.namespace_name, order.client_id); });
        };
        if (Result<void> started = cluster_->start(*node_, std::move(events)); !started) return started;
        wait_for(cluster_->ready());
        return {};
    }

    void on_loop_of(const std::string& namespace_name, std::function<void(EdgeLoop&)> task) {
        LoopThread& owner = *loops_[node_->shard_index(namespace_name)];
        owner.loop.post([edge = &owner.edge, task = std::move(task)] { task(*edge); });
    }

    Result<void> open_node() {
        size_t count = settings_->loops != 0 ? settings_->loops : std::thread::hardware_concurrency();
        if (count == 0) count = 1;
        shared_ = std::make_unique<EdgeShared>(settings_, clock_, random_, signing_key_);
        std::vector<Lane*> lanes;
        for (size_t i = 0; i < count; ++i) {
            loops_.push_back(std::make_unique<LoopThread>(*shared_, clock_, static_cast<uint32_t>(i)));
            shared_->loops.push_back(&loops_.back()->edge);
            lanes.push_back(&loops_.back()->loop);
        }
        std::promise<Result<void>> ready;
        std::future<Result<void>> opened = ready.get_future();
        node_ = node::Node::open(
            {node_id_, node_limits(*settings_), cluster_ ? &cluster_->lane() : nullptr,
             [](const std::string& text) {
                 log_line(LogLevel::error, "the node goes on without some of its data", {{"error", text}});
             }},
            *store_, clock_, random_, lanes, commit_lane_,
            [&ready](Result<void> result) { ready.set_value(std::move(result)); });
        if (!node_) return Error{"the cryptographic library does not start"};
        shared_->node = node_.get();
        shared_->store = store_.get();
        shared_->cluster = cluster_.get();
        shared_->plugin_metrics = &plugin_metrics_;
        for (auto& each : loops_) each->thread = std::thread([each = each.get()] { run_loop(*each); });
        wait_for(opened);
        return opened.get();
    }

    // False if a signal to stop came meanwhile, which is then the next to be served. A loop that does not answer in
    // time takes the settings when it does.
    bool wait_for_loops(std::vector<std::future<void>>& taken_over) {
        const sigset_t signals = stop_signals();
        const timespec pause{0, 5'000'000};
        const uint64_t deadline_us = clock_.monotonic_us() + loop_patience_us;
        for (size_t i = 0; i < taken_over.size(); ++i) {
            while (taken_over[i].wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
                const int signal = ::sigtimedwait(&signals, nullptr, &pause);
                if (signal == SIGINT || signal == SIGTERM) {
                    stop_signal_ = signal;
                    return false;
                }
                if (clock_.monotonic_us() < deadline_us) continue;
                log_line(LogLevel::error, "an event loop does not answer; it has the old settings", {{"loop", i}});
                break;
            }
        }
        return true;
    }

    // Waits, and lets a signal, or the deadline, end the process at once: data on disk needs no goodbye. While it
    // serves that signal is not the first.
    template <class T>
    void wait_for(std::future<T>& future, uint64_t deadline_us = UINT64_MAX) {
        const sigset_t signals = handled_signals();
        const timespec pause{0, 5'000'000};
        while (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
            const int signal = ::sigtimedwait(&signals, nullptr, &pause);
            if (clock_.monotonic_us() >= deadline_us) {
                log_line(LogLevel::error, "an event loop does not answer; ended without it");
                ::_exit(1);
            }
            if (signal != SIGINT && signal != SIGTERM) continue;
            if (!serving_) {
                log_line(LogLevel::info, "stopped before it served", {{"signal", signal_name(signal)}});
                ::_exit(0);
            }
            log_line(LogLevel::warning, "ended by a second signal");
            ::_exit(1);
        }
    }

    void stop_node() {
        std::promise<void> done;
        std::future<void> stopped = done.get_future();
        node_->stop(clock_.monotonic_us() + settings_->stop_timeout_ms * 1000, [&done] { done.set_value(); });
        wait_for(stopped);
        stop_threads();
    }

    // The order that node.h asks for: lanes, store, node.
    void stop_threads() {
        for (auto& each : loops_) {
            if (!each->thread.joinable()) continue;
            each->loop.stop();
            each->thread.join();
        }
        commit_lane_.stop();
        if (cluster_) cluster_->close(clock_.monotonic_us() + 1'000'000);
        if (store_) store_->close();
        node_.reset();
        loops_.clear();
        store_.reset();
    }

    SettingsPtr settings_;
    const config::SettingsSources& sources_;
    SystemClock clock_;
    SystemRandom random_;
    ThreadLane commit_lane_{clock_};
    SigningKey signing_key_;
    std::vector<BoundSocket> bound_;
    PluginMetrics plugin_metrics_;
    StorePlugin store_plugin_;
    std::vector<TransportPlugin> transport_plugins_;
    std::unique_ptr<Cluster> cluster_;
    std::unique_ptr<plugin::LoadedStore> store_;
    std::unique_ptr<EdgeShared> shared_;
    std::vector<std::unique_ptr<LoopThread>> loops_;
    std::unique_ptr<node::Node> node_;
    uint64_t node_id_ = 0;
    bool serving_ = false;
    int stop_signal_ = 0;  // came while something else was being done
};

}  // namespace

void block_signals() {
    const sigset_t signals = handled_signals();
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

Result<void> check_daemon(const config::Settings& settings) {
    auto store_plugin = load_store_plugin(settings);
    if (!store_plugin) return store_plugin.error();
    auto transport_plugins = load_transport_plugins(settings);
    if (!transport_plugins) return transport_plugins.error();
    return {};
}

Result<void> run_daemon(const config::Settings& settings, const config::SettingsSources& sources) {
    if (::sodium_init() < 0) return Error{"the cryptographic library does not start"};
    raise_descriptor_limit();
    prefer_short_time_slices();  // before there is any other thread
    Daemon daemon(settings, sources);
    if (Result<void> started = daemon.start(); !started) return started;
    daemon.serve_until_signal();
    daemon.stop();
    return {};
}

}  // namespace meridian::server
