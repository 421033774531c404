#include "errors.h"

namespace meridian::store_pg {
namespace {

// Appendix A of PostgreSQL's manual.
constexpr const char* not_null_violation = "23502";
constexpr const char* unique_violation = "23505";
constexpr const char* read_only_transaction = "25006";
constexpr const char* serialization_failure = "40001";
constexpr const char* deadlock_detected = "40P01";
constexpr const char* lock_not_available = "55P03";
constexpr const char* query_canceled = "57014";
constexpr const char* disk_full = "53100";
constexpr const char* too_many_connections = "53300";

bool in_class(const std::string& sqlstate, const char* of) {
    return sqlstate.compare(0, 2, of) == 0;
}

}  // namespace

bool ends_connection(const std::string& sqlstate) {
    // 08: connection; 57P01 to 57P05: the server shuts down, or this backend was told to end; 25P03 and 25P04: a
    // transaction was idle for too long, or took too long.
    return in_class(sqlstate, "08") || sqlstate.compare(0, 3, "57P") == 0 || sqlstate == "25P03" ||
           sqlstate == "25P04" || sqlstate == read_only_transaction;
}

bool ServerError::worth_repeating() const {
    return ends_connection(sqlstate_) || sqlstate_ == serialization_failure || sqlstate_ == deadlock_detected ||
           sqlstate_ == lock_not_available;
}

meridian_status ServerError::status() const {
    if (kind_ == Kind::cancelled) return MERIDIAN_CANCELLED;
    if (kind_ == Kind::lost || ends_connection(sqlstate_)) return MERIDIAN_UNAVAILABLE;
    // Both come from a group that does not follow the log only: see the statement `advance`.
    if (sqlstate_ == not_null_violation || sqlstate_ == unique_violation) return MERIDIAN_INVALID;
    if (sqlstate_ == disk_full || in_class(sqlstate_, "54")) return MERIDIAN_NO_SPACE;
    if (sqlstate_ == too_many_connections || in_class(sqlstate_, "53")) return MERIDIAN_UNAVAILABLE;
    if (worth_repeating() || sqlstate_ == query_canceled) return MERIDIAN_TIMEOUT;
    if (sqlstate_ == "XX001" || sqlstate_ == "XX002") return MERIDIAN_CORRUPT;
    return MERIDIAN_UNAVAILABLE;
}

}  // namespace meridian::store_pg
