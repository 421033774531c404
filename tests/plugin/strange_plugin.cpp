// A store plug-in that does nothing, and variants of it that are wrong in one way each; the build defines which.
#include <csignal>
#include <thread>

#include "meridian/store.hpp"

namespace {

using namespace meridian::abi;

class StrangeStore {
public:
    StrangeStore(Host host, const Config&) : host_(host) {
#ifdef STRANGE_THROWING_CREATE
        throw std::runtime_error("thrown by create");
#endif
#ifdef STRANGE_SLOW_TIMER
        host_.timer(
            0,
            [](void* cookie) {
                const Host& to = *static_cast<const Host*>(cookie);
                to.log(MERIDIAN_LOG_WARNING, "timer begins");
                std::this_thread::sleep_for(std::chrono::milliseconds(200));
                to.log(MERIDIAN_LOG_WARNING, "timer ends");
            },
            &host_);
#endif
        queue_.start(1);
    }
    void stop(uint64_t deadline_us) {
        queue_.stop(host_, deadline_us);
    }
    void opening(meridian_store_opening& out) const noexcept {
        out.next_position = out.floor = 1;
    }
    void usage(meridian_store_usage&) const noexcept {}
    meridian_status commit(const meridian_commit_group&, StatusSink sink) {
        return finish(sink);
    }
    meridian_status read_keys(const meridian_key_name*, uint64_t, KeyRecordSink sink) {
        return finish(sink);
    }
    meridian_status checkpoint(const meridian_snapshot_write*, uint64_t, StatusSink sink) {
        return finish(sink);
    }
    void stale_keys(uint64_t, const std::function<void(std::string_view, std::string_view)>&) const {
        strange();
    }
    void retain_from(uint64_t) {
        strange();
    }
    meridian_status read_log(uint64_t, uint64_t, uint64_t, LogSink sink) {
        return finish(sink);
    }
    meridian_status scan_keys(std::string_view, const meridian_key_name*, uint64_t, NameSink sink) {
        return finish(sink);
    }
    meridian_status scan_due(uint64_t, uint64_t, NameSink sink) {
        return finish(sink);
    }
    meridian_status read_metadata(const meridian_bytes*, uint64_t, MetadataSink sink) {
        return finish(sink);
    }
    meridian_status scan_metadata(std::string_view, std::string_view, uint64_t, MetadataSink sink) {
        return finish(sink);
    }

private:
    static void strange() {
#ifdef STRANGE_THROWING_CALLS
        throw std::runtime_error("thrown by a call");
#endif
    }
    template <class Sink>
    meridian_status finish(Sink sink) {
        strange();
        return queue_.submit([sink](bool) { sink.done(MERIDIAN_OK); });
    }
    Host host_;
    TaskQueue queue_{100};
};

using Table = StoreTable<StrangeStore>;

constexpr meridian_config_key keys[] = {
    {sizeof(meridian_config_key), MERIDIAN_TYPE_SIZE, 0, 0, "room",
#ifdef STRANGE_BAD_KEY
     "much",
#else
     "1MiB",
#endif
     1024, 1 << 30, nullptr, "STRANGE_ROOM", "A size."},
    {sizeof(meridian_config_key), MERIDIAN_TYPE_STRING, MERIDIAN_KEY_REQUIRED | MERIDIAN_KEY_SECRET | MERIDIAN_KEY_FILE,
     0, "password", nullptr, 0, 0, nullptr, nullptr, "A secret."},
    {sizeof(meridian_config_key), MERIDIAN_TYPE_CHOICE, MERIDIAN_KEY_RELOADABLE, 0, "mode", "fast", 0, 0, "fast|safe",
     nullptr, "A choice."},
};

meridian_store_functions without_commit() {
    meridian_store_functions functions = Table::functions;
    functions.commit = nullptr;
    return functions;
}

#ifdef STRANGE_HANGING_LOAD
__attribute__((constructor)) void hang() {
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}
#endif

#ifdef STRANGE_CRASHING_LOAD
__attribute__((constructor)) void crash() {
    std::raise(SIGABRT);
}
#endif

}  // namespace

MERIDIAN_PLUGIN_NOTE(MERIDIAN_KIND_STORE, "strange", "1.0");

extern "C" MERIDIAN_EXPORT const meridian_plugin_descriptor* meridian_plugin(void) {
#ifdef STRANGE_THROWING_ENTRY
    throw 1;
#endif
    static const meridian_store_functions incomplete = without_commit();
    static meridian_plugin_descriptor descriptor = Table::descriptor(
        MERIDIAN_IDENTITY(MERIDIAN_KIND_STORE, "strange", "1.0"), MERIDIAN_STORE_VOLATILE, "MIT", "Does nothing", keys);
#ifdef STRANGE_NO_COMMIT
    descriptor.store = &incomplete;
#else
    static_cast<void>(incomplete);
#endif
    return &descriptor;
}

#ifdef STRANGE_EXTRA_EXPORT
extern "C" MERIDIAN_EXPORT int strange_extra(void);
int strange_extra(void) {
    return 1;
}
#endif
