// What the workloads share: their frames, the window in which they measure, and a closed loop of requests and answers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bench/node.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/sockets.h"

namespace meridian::load {

struct Context {
    const Node& node;
    const Options& options;
    Progress& progress;
};

// Each measures with all its parameters; an error says why it could not.
Result<std::vector<Measurement>> measure_fan_out(Context& context);
Result<std::vector<Measurement>> measure_ops(Context& context);
Result<std::vector<Measurement>> measure_rest_read(Context& context);
Result<std::vector<Measurement>> measure_idle(Context& context);
Result<std::vector<Measurement>> measure_join_storm(Context& context);
Result<std::vector<Measurement>> measure_typing(Context& context);
Result<std::vector<Measurement>> measure_cluster(Context& context);

inline constexpr unsigned answer_timeout_s = 60;
inline constexpr double warm_up_s = 0.5;

// A key that no other run uses, so that what it holds is known. `prefix` names its type, as in "gc:".
std::string fresh_key(const std::string& prefix);

std::string subscribe_frame(const std::string& key);
std::string op_frame(const std::string& key, const std::string& op_bytes);
std::string count_op(uint64_t client_id);

enum class Answer : uint8_t { delta, ack, batch_ack, other };
// What a message of the server is, by its first bytes. An Error message fails the sockets with its text.
Answer classify(Sockets& sockets, std::string_view payload);

// Reads what a connection has and counts the acks. Deltas come as well; they are not answers.
size_t count_acks(Sockets& sockets, size_t index);
// A namespace for each connection, if the node's tokens allow it.
std::string own_namespace(const Context& context, const std::string& name, size_t index);

// Opens WebSockets to the node, named by namespace and client id, and subscribes each to a key if `key` is not empty.
Result<void> open_websockets(Context& context, Sockets& sockets, size_t count,
                             const std::function<std::string(size_t index)>& namespace_of, const std::string& key,
                             uint64_t first_client_id = 1);

// The time in which something is counted, and what it costs the server and the generator meanwhile.
class Window {
public:
    // Measures the loopback with messages of that size first. `process`: the server's, if it is known.
    static Result<Window> begin(std::optional<pid_t> process, size_t message_bytes);
    // Appends rate and costs of `count` things called `thing`, and measures the loopback again.
    Result<void> end(uint64_t count, const std::string& thing, Figures& figures);
    double seconds() const { return static_cast<double>(now_ns() - start_ns_) / 1e9; }

private:
    Window(std::optional<pid_t> process, size_t message_bytes, double loopback_ns);
    std::optional<Process> process_;
    size_t message_bytes_;
    double loopback_ns_;
    uint64_t server_cpu_ns_ = 0;
    std::map<pid_t, uint64_t> thread_cpu_ns_;  // of the server
    uint64_t own_cpu_ns_;
    uint64_t start_ns_;
};

// Connections that each keep a number of requests in flight. Answers come in the order of the requests.
class ClosedLoop {
public:
    // `append` writes the next request of a connection; `read` reads what one has and returns how many answers that
    // was.
    ClosedLoop(Sockets& sockets, size_t connections, size_t in_flight,
               std::function<void(size_t index, std::string& out)> append, std::function<size_t(size_t index)> read);

    // Keeps the requests in flight for that time.
    void run(double seconds, Progress& progress, double progress_from, double progress_to);
    // Waits for the answers that are outstanding.
    void drain();
    uint64_t answers() const { return answers_; }
    Histogram& latency() { return latency_; }

private:
    void on_input(size_t index, bool ask_again);
    void request(size_t index, size_t count);

    Sockets& sockets_;
    size_t connections_;
    size_t in_flight_;
    std::function<void(size_t, std::string&)> append_;
    std::function<size_t(size_t)> read_;
    std::vector<uint64_t> sent_ns_;   // in_flight_ for each connection, a ring
    std::vector<uint64_t> sent_;      // requests of each connection
    std::vector<uint64_t> answered_;  // of them
    std::string out_;
    uint64_t requests_ = 0;
    uint64_t answers_ = 0;
    Histogram latency_;
};

// One round of a closed loop: warms up, measures, drains. The figures of answers called `thing`.
Result<Figures> measure_round(Context& context, Sockets& sockets, ClosedLoop& loop, std::optional<pid_t> process,
                              size_t message_bytes, const std::string& thing);

}  // namespace meridian::load
