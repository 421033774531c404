// Backup while the store is in use.
#include "store.h"

namespace meridian::store_kv {

meridian_status KvStore::backup(std::string_view, abi::StatusSink) {
    return MERIDIAN_NOT_SUPPORTED;
}

}  // namespace meridian::store_kv
