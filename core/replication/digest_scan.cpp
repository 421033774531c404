#include "replication/digest_scan.h"

#include <utility>

namespace meridian::replication {

namespace {

constexpr size_t page_keys_max = 1'000;

struct Scan {
    Context& context;
    node::DigestKey key;
    std::weak_ptr<void> token;
    std::function<void(const std::vector<node::KeyDigest>&)> page;
    std::function<void(const std::string&)> done;
};

void next_page(const std::shared_ptr<Scan>& scan, std::optional<node::KeyName> after) {
    Context& context = scan->context;
    context.port.digest_keys(std::move(after), page_keys_max, scan->key, context.here([scan](node::DigestPage page) {
        if (scan->token.expired()) return;
        if (!page.error.empty()) return scan->done(page.error);
        scan->page(page.digests);
        if (!page.next) return scan->done({});
        next_page(scan, std::move(page.next));
    }));
}

}  // namespace

void scan_digests(Context& context, const node::DigestKey& key, std::weak_ptr<void> token,
                  std::function<void(const std::vector<node::KeyDigest>&)> page,
                  std::function<void(const std::string& error)> done) {
    next_page(std::make_shared<Scan>(Scan{context, key, std::move(token), std::move(page), std::move(done)}), {});
}

}  // namespace meridian::replication
