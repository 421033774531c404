#include "call.h"

#include <chrono>
#include <thread>
#include <utility>

#include "check.h"
#include "host.h"
#include "report.h"

namespace meridian::plugin_test {
namespace {

// Of this thread: the call that it is submitting.
thread_local const Call* submitting = nullptr;

struct Kept {
    std::mutex mutex;
    std::vector<std::shared_ptr<Call>> calls;
};
Kept& kept() {
    static auto* value = new Kept;  // never freed: sinks may be called until the process ends
    return *value;
}

// The context is the call; `Typed` is its type.
template <class Typed>
std::shared_ptr<Typed> make(const std::string& function) {
    auto call = std::make_shared<Typed>(function);
    call->sink.struct_size = sizeof call->sink;
    call->sink.context = call.get();
    keep_call(call);
    return call;
}

template <class Typed>
void plain_done(void* context, meridian_status status, meridian_bytes message) {
    Call::Event(*static_cast<Typed*>(context)).done(status, message);
}

}  // namespace

std::atomic<uint32_t> Call::event_us{0};

std::vector<std::shared_ptr<Call>> all_calls() {
    const std::lock_guard lock(kept().mutex);
    return kept().calls;
}

void keep_call(std::shared_ptr<Call> call) {
    const std::lock_guard lock(kept().mutex);
    kept().calls.push_back(std::move(call));
}

bool Call::has_stopped() const {
    const std::lock_guard lock(mutex_);
    return stopped_ && *stopped_;
}

void Call::submit(const std::function<meridian_status()>& function, std::shared_ptr<const std::atomic<bool>> stopped) {
    doing("submitting " + function_);
    {
        const std::lock_guard lock(mutex_);
        stopped_ = std::move(stopped);
    }
    const Call* const outer = std::exchange(submitting, this);
    const meridian_status status = function();
    submitting = outer;
    const std::lock_guard lock(mutex_);
    submitted_ = status;
    has_submitted_ = true;
    if (status == MERIDIAN_OK) return;
    status_ = status;
    // The sink may have been called before the refusal.
    if (faults_.done_count != 0) faults_.after_refusal = true;
}

bool Call::in_submit() {
    return submitting != nullptr;
}

SinkFaults Call::faults() const {
    const std::lock_guard lock(mutex_);
    return faults_;
}

bool Call::is_done() const {
    const std::lock_guard lock(mutex_);
    return faults_.done_count != 0 || (has_submitted_ && submitted_ != MERIDIAN_OK);
}

void Call::wait_done() {
    doing("waiting for the completion of " + function_);
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return submitted_ != MERIDIAN_OK || faults_.done_count != 0; });
    doing("checking the answer of " + function_);
}

Call::Event::Event(Call& call) : call_(call) {
    const bool overlapping = call_.active_.fetch_add(1) != 0;
    if (const uint32_t delay_us = event_us; delay_us != 0)
        std::this_thread::sleep_for(std::chrono::microseconds(delay_us));
    lock_ = std::unique_lock(call_.mutex_);
    SinkFaults& faults = call_.faults_;
    if (overlapping) faults.overlapping = true;
    if (submitting == &call_) faults.inside_submit = true;
    if (on_host_thread()) faults.on_host_thread = true;
    if (faults.done_count != 0) faults.after_done = true;
    if (call_.has_submitted_ && call_.submitted_ != MERIDIAN_OK) faults.after_refusal = true;
    if (call_.stopped_ && *call_.stopped_) faults.after_stop = true;
}

Call::Event::~Event() {
    call_.active_.fetch_sub(1);
}

void Call::Event::done(meridian_status status, meridian_bytes message) {
    if (call_.faults_.done_count++ == 0) {
        call_.status_ = status;
        call_.message_ = text_of(message);
    }
    call_.wake_.notify_all();
}

std::string completed_inside_submit(const Call& call) {
    return call.faults().inside_submit ? "its sink was called before the submit had returned, inside it" : "";
}

std::string completed_on_host_thread(const Call& call) {
    const SinkFaults faults = call.faults();
    return faults.on_host_thread && !faults.inside_submit ? "its sink was called on a thread of the host" : "";
}

std::string completed_other_than_once(const Call& call) {
    const int count = call.faults().done_count;
    if (call.submitted() != MERIDIAN_OK || count == 1) return {};
    return "done was called " + std::to_string(count) + " times, expected once";
}

std::string completed_though_refused(const Call& call) {
    if (!call.faults().after_refusal) return {};
    return "the submit returned " + status_name(call.submitted()) + ", but its sink was called";
}

void require_completed_by_stop() {
    for (const auto& call : all_calls()) {
        if (call->submitted() != MERIDIAN_OK || !call->has_stopped()) continue;
        require(call->is_done(), call->function() + " was accepted, and has not completed when stop has returned");
    }
}

std::shared_ptr<StatusCall> make_status_call(const std::string& function) {
    auto call = make<StatusCall>(function);
    call->sink.done = plain_done<StatusCall>;
    return call;
}

std::shared_ptr<RecordsCall> make_records_call(const std::string& function) {
    auto call = make<RecordsCall>(function);
    call->sink.record = [](void* context, const meridian_key_record* record) {
        auto& self = *static_cast<RecordsCall*>(context);
        const Call::Event event(self);
        if (event.counts()) self.result.records.push_back(record_of(*record));
    };
    call->sink.done = plain_done<RecordsCall>;
    return call;
}

std::shared_ptr<LogCall> make_log_call(const std::string& function) {
    auto call = make<LogCall>(function);
    call->sink.entry = [](void* context, const meridian_log_entry* entry) {
        auto& self = *static_cast<LogCall*>(context);
        const Call::Event event(self);
        if (event.counts()) self.result.entries.push_back(entry_of(*entry));
    };
    call->sink.done = [](void* context, meridian_status status, meridian_bytes message, uint64_t next_position,
                         uint32_t gone, uint64_t floor) {
        auto& self = *static_cast<LogCall*>(context);
        Call::Event event(self);
        self.result.next_position = next_position;
        self.result.gone = gone != 0;
        self.result.floor = floor;
        event.done(status, message);
    };
    return call;
}

std::shared_ptr<NamesCall> make_names_call(const std::string& function) {
    auto call = make<NamesCall>(function);
    call->sink.name = [](void* context, const meridian_key_name* name, uint64_t deadline_ms) {
        auto& self = *static_cast<NamesCall*>(context);
        const Call::Event event(self);
        if (event.counts()) self.result.names.push_back({name_of(*name), deadline_ms});
    };
    call->sink.done = [](void* context, meridian_status status, meridian_bytes message, uint32_t more) {
        auto& self = *static_cast<NamesCall*>(context);
        Call::Event event(self);
        self.result.more = more != 0;
        event.done(status, message);
    };
    return call;
}

std::shared_ptr<ValuesCall> make_values_call(const std::string& function) {
    auto call = make<ValuesCall>(function);
    call->sink.value = [](void* context, meridian_bytes name, uint32_t present, meridian_bytes value) {
        auto& self = *static_cast<ValuesCall*>(context);
        const Call::Event event(self);
        Value out;
        out.name = text_of(name);
        if (present != 0) out.value = text_of(value);
        if (event.counts()) self.result.values.push_back(std::move(out));
    };
    call->sink.done = plain_done<ValuesCall>;
    return call;
}

std::shared_ptr<RowsCall> make_rows_call(const std::string& function) {
    auto call = make<RowsCall>(function);
    call->sink.row = [](void* context, const meridian_row* row) {
        auto& self = *static_cast<RowsCall*>(context);
        const Call::Event event(self);
        Record record = record_of(row->record);
        record.name = name_of(row->name);
        if (event.counts()) self.result.rows.push_back({std::move(record), row->version});
    };
    call->sink.done = [](void* context, meridian_status status, meridian_bytes message, uint64_t next_position,
                         uint64_t next_sequence) {
        auto& self = *static_cast<RowsCall*>(context);
        Call::Event event(self);
        self.result.next_position = next_position;
        self.result.next_sequence = next_sequence;
        event.done(status, message);
    };
    return call;
}

std::shared_ptr<PublishCall> make_publish_call(const std::string& function) {
    auto call = make<PublishCall>(function);
    call->sink.done = [](void* context, meridian_status status, meridian_bytes message, uint64_t receivers) {
        auto& self = *static_cast<PublishCall*>(context);
        Call::Event event(self);
        if (event.counts()) self.result.receivers = receivers;
        event.done(status, message);
    };
    return call;
}

std::shared_ptr<ReplyCall> make_reply_call(const std::string& function) {
    auto call = make<ReplyCall>(function);
    call->sink.done = [](void* context, meridian_status status, meridian_bytes message, meridian_bytes reply) {
        auto& self = *static_cast<ReplyCall*>(context);
        Call::Event event(self);
        if (event.counts()) {
            self.result.reply = text_of(reply);
            self.result.done_us = monotonic_us();
        }
        event.done(status, message);
    };
    return call;
}

}  // namespace meridian::plugin_test
