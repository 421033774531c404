// What the tests of store-pg share: a server, a host, stores in schemas of that server.
#pragma once

#include <cppunit/extensions/HelperMacros.h>

#include <map>
#include <memory>
#include <string>

#include "plugin/store_fixture.h"
#include "postgres_process.h"

namespace meridian::test {

const plugin::LoadedPlugin& store_pg();

class PgFixture : public CppUnit::TestFixture {
public:
    void tearDown() override { server_.reset(); }

protected:
    void start_server(std::vector<std::string> settings = {}, bool durable = false) {
        server_ = std::make_unique<PostgresProcess>(std::move(settings), durable);
    }
    // Of a store in schema `s` that does not wait long.
    Section section(const Section& changed = {}) const;
    Result<std::unique_ptr<plugin::LoadedStore>> try_to_open(const Section& changed = {});
    TestStore open(const Section& changed = {});
    // What opening it fails with.
    std::string refusal(const Section& changed = {});
    PostgresClient client() const { return PostgresClient(server_->url()); }
    // Waits until the server shows a backend for which this SQL condition on pg_stat_activity holds; its number.
    static std::string await_backend(PostgresClient& client, const std::string& condition);
    static void await(const std::string& what, const std::function<bool()>& condition) {
        CPPUNIT_ASSERT_MESSAGE(what, TestStore::eventually(condition));
    }

    std::unique_ptr<PostgresProcess> server_;
    TestHost host_;
};

// Payloads of a log, with a separator.
std::string log_of(TestStore& store);

}  // namespace meridian::test
