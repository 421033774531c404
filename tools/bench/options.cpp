#include "bench/options.h"

#include <algorithm>
#include <iterator>

#include "client/arguments.h"

namespace meridian::load {
namespace {

using client::Arguments;

const client::OptionNames option_names = {
    {"url", "token", "data-dir", "server", "server-pid", "set", "seconds", "rounds", "subscribers", "connections",
     "in-flight", "idle", "joins", "state-bytes", "entries", "transport"},
    {"json", "no-progress", "help", "version"}};

Result<uint64_t> number_between(const Arguments& arguments, const std::string& name, uint64_t otherwise, uint64_t low,
                                uint64_t high) {
    if (!arguments.has(name)) return otherwise;
    const std::string text = arguments.get(name, "");
    const Result<uint64_t> number = client::parse_number("--" + name, text);
    if (!number || *number < low || *number > high) {
        return Error{"--" + name + " '" + text + "': expected a whole number from " + std::to_string(low) + " to " +
                     std::to_string(high)};
    }
    return *number;
}

Result<std::vector<uint64_t>> in_flight_of(const Arguments& arguments) {
    const std::string text = arguments.get("in-flight", "1,16");
    std::vector<uint64_t> numbers;
    for (size_t start = 0; start <= text.size();) {
        const size_t end = std::min(text.find(',', start), text.size());
        const Result<uint64_t> number = client::parse_number("--in-flight", text.substr(start, end - start));
        if (!number || *number < 1 || *number > 1024)
            return Error{"--in-flight '" + text + "': expected numbers from 1 to 1024 separated by commas"};
        numbers.push_back(*number);
        start = end + 1;
    }
    return numbers;
}

Result<void> read_numbers(const Arguments& arguments, Options& options) {
    struct Number {
        const char* name;
        uint64_t& value;
        uint64_t low;
        uint64_t high;
    };
    const Number numbers[] = {{"seconds", options.seconds, 1, 86'400},
                              {"rounds", options.rounds, 1, 1000},
                              {"subscribers", options.subscribers, 1, 1'000'000},
                              {"connections", options.connections, 1, 100'000},
                              {"idle", options.idle, 1, 1'000'000},
                              {"joins", options.joins, 1, 1'000'000},
                              {"state-bytes", options.state_bytes, 64, 64 << 20},
                              {"entries", options.entries, 1, 100'000'000}};
    for (const Number& number : numbers) {
        const Result<uint64_t> value = number_between(arguments, number.name, number.value, number.low, number.high);
        if (!value) return value.error();
        number.value = *value;
    }
    Result<std::vector<uint64_t>> in_flight = in_flight_of(arguments);
    if (!in_flight) return in_flight.error();
    options.in_flight = std::move(in_flight).value();
    return {};
}

Result<void> read_node(const Arguments& arguments, NodeOptions& node) {
    node.url = arguments.get("url", "");
    node.token = arguments.get("token", client::environment("MERIDIAN_TOKEN", ""));
    node.data_dir = arguments.get("data-dir", client::environment("MERIDIAN_DATA_DIR", "./data"));
    node.signing_key = client::environment("MERIDIAN_SIGNING_KEY", "");
    node.server = arguments.get("server", "");
    node.settings = arguments.all("set");
    for (const char* name : {"token", "data-dir", "server-pid"}) {
        if (node.url.empty() && arguments.has(name))
            return Error{"--" + std::string(name) + " is for a running node: expected --url as well"};
    }
    for (const char* name : {"server", "set"}) {
        if (!node.url.empty() && arguments.has(name))
            return Error{"--" + std::string(name) + " is for a node that is started: expected no --url"};
    }
    if (arguments.has("server-pid")) {
        const Result<uint64_t> id = number_between(arguments, "server-pid", 0, 1, 1 << 22);
        if (!id) return id.error();
        node.server_pid = static_cast<pid_t>(*id);
    }
    return {};
}

}  // namespace

const std::vector<std::string>& workload_names() {
    static const std::vector<std::string> names = {"fan-out",    "ops",    "rest-read", "idle",
                                                   "join-storm", "typing", "cluster"};
    return names;
}

Result<Options> parse_options(int argc, char** argv) {
    const Result<Arguments> arguments = client::parse_arguments(argc, argv, option_names);
    if (!arguments) return arguments.error();
    Options options;
    if (arguments->has("help") || arguments->has("version")) {
        options.action = arguments->has("help") ? Options::Action::help : Options::Action::version;
        return options;
    }
    const std::vector<std::string>& names = workload_names();
    for (const std::string& word : arguments->words) {
        if (word == "all") {
            // Of one node.
            std::copy_if(names.begin(), names.end(), std::back_inserter(options.workloads),
                         [](const std::string& name) { return name != "cluster"; });
        } else if (std::find(names.begin(), names.end(), word) != names.end()) {
            options.workloads.push_back(word);
        } else {
            return Error{client::unknown_name("workload", word, names)};
        }
    }
    if (options.workloads.empty()) {
        std::string known;
        for (const std::string& name : names) known += name + ", ";
        return Error{"expected a workload: " + known + "or all"};
    }
    if (Result<void> read = read_numbers(*arguments, options); !read) return read.error();
    if (Result<void> read = read_node(*arguments, options.node); !read) return read.error();
    options.transport = arguments->get("transport", options.transport);
    if (options.transport != "http" && options.transport != "redis")
        return Error{"--transport '" + options.transport + "': expected http or redis"};
    const bool clusters =
        std::find(options.workloads.begin(), options.workloads.end(), "cluster") != options.workloads.end();
    if (clusters && !options.node.url.empty()) return Error{"cluster starts nodes of its own: expected no --url"};
    options.json = arguments->has("json");
    options.progress = !arguments->has("no-progress");
    return options;
}

std::string help() {
    return "usage: meridian-bench [option...] WORKLOAD...\n"
           "\n"
           "Puts load on a node and says what it costs. Without --url a node is started on a temporary directory "
           "below\n"
           "TMPDIR (/tmp), and stopped and removed at the end.\n"
           "\n"
           "workloads\n"
           "  fan-out      one writer, --subscribers clients of its room; an op is in flight until all have its delta\n"
           "  ops          durable ops from --connections WebSockets, a namespace each, in turns with two bare "
           "servers\n"
           "               that make the same bytes durable and do nothing else: one answers with an ack, one with an\n"
           "               ack and as many bytes as a delta\n"
           "  rest-read    GET of a small key on --connections kept connections\n"
           "  idle         memory of the server for each of --idle WebSockets that do nothing\n"
           "  join-storm   --joins clients subscribe at once to a set of --state-bytes while other rooms have traffic\n"
           "  typing       texts typed on --connections WebSockets, a text each\n"
           "  cluster      what two nodes that replicate cost more than one: acks at half load, ops, the way from a "
           "write on\n"
           "               one to a subscriber of the other, --entries that a node missed, an idle cluster\n"
           "  all          all of them but cluster\n"
           "\n"
           "options\n"
           "  --url URL             a running node: ws://host:port\n"
           "  --token TOKEN         for it; default MERIDIAN_TOKEN. All connections then share its namespace, client\n"
           "                        id and limit of requests\n"
           "  --data-dir DIRECTORY  without a token: where its signing key is; default MERIDIAN_DATA_DIR or ./data;\n"
           "                        MERIDIAN_SIGNING_KEY wins\n"
           "  --server-pid ID       its process on this machine: what CPU and memory are measured of\n"
           "  --server FILE         the meridiand to start; default: next to this program, then in PATH\n"
           "  --set SECTION.KEY=VALUE  a setting of the node that is started; may be given several times\n"
           "  --seconds N           length of a round; default 5\n"
           "  --rounds N            rounds of each measurement, of which the median is shown; default 3\n"
           "  --subscribers N       default 5000\n"
           "  --connections N       default 64\n"
           "  --in-flight N,...     ops that wait for their answers, of each connection; default 1,16\n"
           "  --idle N              default 10000\n"
           "  --joins N             default 1000\n"
           "  --state-bytes N       default 1048576\n"
           "  --entries N           default 100000\n"
           "  --transport NAME      of the cluster: http, or redis (starts the redis-server in PATH); default http\n"
           "  --json                print one JSON object instead of text\n"
           "  --no-progress         do not show how far it is, on a terminal\n"
           "  --help, --version\n"
           "\n"
           "CPU is that of the server's process. \"loopbacks\" are that CPU divided by the CPU of one send and "
           "receive\n"
           "of a message of the same size over the loopback interface, measured before and after each round: compare\n"
           "these between machines.\n";
}

}  // namespace meridian::load
