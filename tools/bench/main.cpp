// meridian-bench: puts load on a node and says what it costs.
#include <sodium.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "bench/workload.h"
#include "server_version.h"

namespace meridian::load {
namespace {

using Measure = Result<std::vector<Measurement>> (*)(Context&);

Measure measure_of(const std::string& workload) {
    if (workload == "fan-out") return measure_fan_out;
    if (workload == "ops") return measure_ops;
    if (workload == "rest-read") return measure_rest_read;
    if (workload == "idle") return measure_idle;
    if (workload == "join-storm") return measure_join_storm;
    if (workload == "cluster") return measure_cluster;
    return measure_typing;
}

// Each connection takes a descriptor here and one in the node.
Result<void> check_descriptors(const Options& options, uint64_t limit) {
    constexpr uint64_t others = 64;
    struct Need {
        const char* workload;
        const char* option;
        uint64_t connections;
    };
    for (const Need& need :
         {Need{"fan-out", "--subscribers", options.subscribers}, Need{"ops", "--connections", 3 * options.connections},
          Need{"cluster", "--connections", 3 * options.connections}, Need{"idle", "--idle", options.idle + 1000},
          Need{"join-storm", "--joins", options.joins}}) {
        for (const std::string& workload : options.workloads) {
            if (workload == need.workload && need.connections + others > limit) {
                return Error{workload + " needs " + std::to_string(need.connections + others) +
                             " file descriptors and this process may have " + std::to_string(limit) +
                             ": expected a lower " + need.option + ", or a higher limit (ulimit -n)"};
            }
        }
    }
    return {};
}

void write_head(JsonWriter& json, const Node& node) {
    json.key("version");
    json.string(MERIDIAN_VERSION);
    json.key("node");
    json.begin_object();
    json.key("address");
    json.string(node.address());
    json.key("started");
    json.boolean(node.is_started());
    json.end_object();
    json.key("cores");
    json.number(static_cast<uint64_t>(::sysconf(_SC_NPROCESSORS_ONLN)));
    json.key("load_average_before");
    json.number(load_average());
}

Result<void> measure_all(const Options& options) {
    Progress progress(options.progress);
    progress.begin("starting");
    Result<std::unique_ptr<Node>> node = Node::open(options.node);
    if (!node) return node.error();
    Context context{**node, options, progress};
    JsonWriter json;
    json.begin_object();
    write_head(json, **node);
    json.key("measurements");
    json.begin_array();
    for (const std::string& workload : options.workloads) {
        const Result<std::vector<Measurement>> measurements = measure_of(workload)(context);
        if (!measurements) return Error{workload + ": " + measurements.error().message};
        progress.clear();
        for (const Measurement& measurement : *measurements) {
            if (options.json) {
                write_json(json, measurement);
            } else {
                std::printf("%s\n", to_text(measurement).c_str());
                std::fflush(stdout);
            }
        }
    }
    json.end_array();
    json.end_object();
    if (options.json) std::printf("%s\n", json.text().c_str());
    return {};
}

int fail(const Error& error) {
    std::fprintf(stderr, "meridian-bench: %s\n", error.message.c_str());
    return is_interrupted() ? 130 : 1;
}

int run(int argc, char** argv) {
    const Result<Options> options = parse_options(argc, argv);
    if (!options) return fail(Error{options.error().message + "\nsee meridian-bench --help"});
    if (options->action == Options::Action::help) {
        std::fputs(help().c_str(), stdout);
        return 0;
    }
    if (options->action == Options::Action::version) {
        std::printf("meridian-bench %s\n", MERIDIAN_VERSION);
        return 0;
    }
    if (sodium_init() < 0) return fail(Error{"the cryptographic library does not start"});
    std::signal(SIGPIPE, SIG_IGN);
    interrupt_on_signals();
    if (Result<void> enough = check_descriptors(*options, raise_descriptor_limit()); !enough)
        return fail(enough.error());
    const Result<void> done = measure_all(*options);
    return done ? 0 : fail(done.error());
}

}  // namespace
}  // namespace meridian::load

int main(int argc, char** argv) {
    try {
        return meridian::load::run(argc, argv);
    } catch (const std::exception& error) { return meridian::load::fail(meridian::Error{error.what()}); }
}
