// One submitted call: what it was given, what its sink has received, and whether the rules for completions were kept.
//
// Threads: the sink's functions may be called on any thread, also where that breaks the contract; wait() is for the
// submitter. Ownership: shared by the submitter and `keep_calls()`, which keeps every call until the process ends, so
// that a sink that is called too often, or too late, finds its memory.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "meridian/plugin.h"
#include "values.h"

namespace meridian::plugin_test {

// The rules that hold for every sink, and how they were broken.
struct SinkFaults {
    bool inside_submit = false;   // called before the submitting call had returned, on its thread
    bool on_host_thread = false;  // called on a thread that is not the plug-in's
    bool overlapping = false;     // two calls to one sink at the same time
    bool after_done = false;      // called after `done`
    bool after_refusal = false;   // called although the submit had refused
    bool after_stop = false;      // called after `stop` had returned
    int done_count = 0;
};

class Call {
public:
    explicit Call(std::string function) : function_(std::move(function)) {}
    virtual ~Call() = default;
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    const std::string& function() const { return function_; }
    // Runs the submitting call. `stopped` tells whether `stop` has returned.
    void submit(const std::function<meridian_status()>& function, std::shared_ptr<const std::atomic<bool>> stopped);
    meridian_status submitted() const { return submitted_; }
    SinkFaults faults() const;
    bool is_done() const;
    // Whether `stop` of its instance has returned.
    bool has_stopped() const;
    // Overwrites what the store was given: it was borrowed until the submit returned.
    virtual void scribble() {}

    // One call of the sink; the object's members are guarded by it.
    class Event {
    public:
        explicit Event(Call& call);
        ~Event();
        Event(const Event&) = delete;
        Event& operator=(const Event&) = delete;
        // Whether what comes belongs to the answer: not after `done`.
        bool counts() const { return call_.faults_.done_count == 0; }
        void done(meridian_status status, meridian_bytes message);

    private:
        Call& call_;
        std::unique_lock<std::mutex> lock_;
    };
    // Whether this thread is inside a submitting call.
    static bool in_submit();
    // Makes each event last so long, for tests of what may not overlap.
    static std::atomic<uint32_t> event_us;

protected:
    // Status and message of `done`; of the submit if that has refused. Waits for as long as the check may take.
    void wait_done();

    std::string function_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::atomic<int> active_{0};
    meridian_status submitted_ = MERIDIAN_OK;
    bool has_submitted_ = false;
    std::shared_ptr<const std::atomic<bool>> stopped_;
    meridian_status status_ = MERIDIAN_OK;
    std::string message_;
    SinkFaults faults_;
};

// What is wrong with a call's completion, by one rule each; empty: nothing.
std::string completed_inside_submit(const Call& call);
std::string completed_on_host_thread(const Call& call);
std::string completed_other_than_once(const Call& call);  // or never, if it was accepted
std::string completed_though_refused(const Call& call);
// The check fails if an accepted call of an instance that has stopped is not done.
void require_completed_by_stop();

// Every call that this process has submitted.
std::vector<std::shared_ptr<Call>> all_calls();
void keep_call(std::shared_ptr<Call> call);

struct StatusResult {
    meridian_status status = MERIDIAN_OK;
    std::string message;
    bool ok() const { return status == MERIDIAN_OK; }
};
struct RecordsResult : StatusResult {
    std::vector<Record> records;
};
struct LogResult : StatusResult {
    std::vector<Entry> entries;
    uint64_t next_position = 0;
    bool gone = false;
    uint64_t floor = 0;
};
struct NamesResult : StatusResult {
    std::vector<DueName> names;
    bool more = false;
};
struct ValuesResult : StatusResult {
    std::vector<Value> values;
};
struct RowsResult : StatusResult {
    struct Row {
        Record record;
        uint64_t version = 0;
    };
    std::vector<Row> rows;
    uint64_t next_position = 0;
    uint64_t next_sequence = 0;
};
struct PublishResult : StatusResult {
    uint64_t receivers = 0;
};
struct ReplyResult : StatusResult {
    std::string reply;
    uint64_t done_us = 0;  // when it completed, on the host's monotonic clock
};

template <class Result, class Sink>
class TypedCall : public Call {
public:
    using Call::Call;
    Sink sink{};
    Result result;                    // guarded by Event
    std::shared_ptr<void> inputs;     // kept alive for stores that keep what they may not keep
    std::function<void()> overwrite;  // of the inputs

    // Gives what was collected; call it once.
    Result wait() {
        wait_done();
        const std::lock_guard lock(mutex_);
        Result out = std::move(result);
        result = Result();
        out.status = status_;
        out.message = message_;
        return out;
    }
    void scribble() override {
        if (overwrite) overwrite();
        std::memset(static_cast<void*>(&sink), 0x23, sizeof sink);
    }
};

using StatusCall = TypedCall<StatusResult, meridian_status_sink>;
using RecordsCall = TypedCall<RecordsResult, meridian_key_record_sink>;
using LogCall = TypedCall<LogResult, meridian_log_sink>;
using NamesCall = TypedCall<NamesResult, meridian_name_sink>;
using ValuesCall = TypedCall<ValuesResult, meridian_metadata_sink>;
using RowsCall = TypedCall<RowsResult, meridian_row_sink>;
using PublishCall = TypedCall<PublishResult, meridian_publish_sink>;
using ReplyCall = TypedCall<ReplyResult, meridian_reply_sink>;

// Calls whose sink is ready to be passed on.
std::shared_ptr<StatusCall> make_status_call(const std::string& function);
std::shared_ptr<RecordsCall> make_records_call(const std::string& function);
std::shared_ptr<LogCall> make_log_call(const std::string& function);
std::shared_ptr<NamesCall> make_names_call(const std::string& function);
std::shared_ptr<ValuesCall> make_values_call(const std::string& function);
std::shared_ptr<RowsCall> make_rows_call(const std::string& function);
std::shared_ptr<PublishCall> make_publish_call(const std::string& function);
std::shared_ptr<ReplyCall> make_reply_call(const std::string& function);

}  // namespace meridian::plugin_test
