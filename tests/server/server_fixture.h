// A test case with a directory of its own and at most one running node.
#pragma once

#include <cppunit/extensions/HelperMacros.h>
#include <cppunit/TestFixture.h>
#include <sodium.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server_process.h"
#include "test_client.h"

namespace meridian::test {

class ServerFixture : public CppUnit::TestFixture {
public:
    void setUp() override {
        CPPUNIT_ASSERT(sodium_init() >= 0);
        data_ = std::make_unique<TemporaryDirectory>();
    }
    void tearDown() override {
        server_.reset();
        data_.reset();
    }

protected:
    // Starts the node, with the signing key of the tests, on the directory of the test case or on a given one. The one
    // before it must have ended.
    ServerProcess& start(std::vector<std::string> settings = {}) {
        return start_on(data_->path(), std::move(settings));
    }
    ServerProcess& start_on(const std::string& data_directory, std::vector<std::string> settings = {}) {
        settings.push_back("server.signing_key=" + signing_key_hex);
        server_ = std::make_unique<ServerProcess>(data_directory, settings);
        return *server_;
    }

    std::unique_ptr<TemporaryDirectory> data_;
    std::unique_ptr<ServerProcess> server_;
};

}  // namespace meridian::test
