// A plug-in for abi-bench: retain_from keeps its argument, usage gives it. Nothing else is called.
#include "meridian/store.hpp"

namespace {

using namespace meridian::abi;

class CellStore {
public:
    CellStore(Host, const Config&) {}
    void stop(uint64_t) {}
    void opening(meridian_store_opening&) const noexcept {}
    void usage(meridian_store_usage& out) const noexcept { out.log_bytes = value_; }
    void retain_from(uint64_t position) { value_ = position; }
    void stale_keys(uint64_t, const std::function<void(std::string_view, std::string_view)>&) const {}
    meridian_status commit(const meridian_commit_group&, StatusSink) { return MERIDIAN_NOT_SUPPORTED; }
    meridian_status read_keys(const meridian_key_name*, uint64_t, KeyRecordSink) { return MERIDIAN_NOT_SUPPORTED; }
    meridian_status checkpoint(const meridian_snapshot_write*, uint64_t, StatusSink) { return MERIDIAN_NOT_SUPPORTED; }
    meridian_status read_log(uint64_t, uint64_t, uint64_t, LogSink) { return MERIDIAN_NOT_SUPPORTED; }
    meridian_status scan_keys(std::string_view, const meridian_key_name*, uint64_t, NameSink) {
        return MERIDIAN_NOT_SUPPORTED;
    }
    meridian_status scan_due(uint64_t, uint64_t, NameSink) { return MERIDIAN_NOT_SUPPORTED; }
    meridian_status read_metadata(const meridian_bytes*, uint64_t, MetadataSink) { return MERIDIAN_NOT_SUPPORTED; }
    meridian_status scan_metadata(std::string_view, std::string_view, uint64_t, MetadataSink) {
        return MERIDIAN_NOT_SUPPORTED;
    }

private:
    uint64_t value_ = 0;
};

constexpr meridian_config_key keys[] = {{sizeof(meridian_config_key), MERIDIAN_TYPE_BOOLEAN, 0, 0, "unused", "true", 0,
                                         0, nullptr, nullptr, "A plug-in has a list of keys."}};

}  // namespace

MERIDIAN_STORE_PLUGIN(CellStore, "abi-bench-store", "1.0", MERIDIAN_STORE_VOLATILE, "Apache-2.0",
                      "Keeps a number, for a benchmark", keys)
