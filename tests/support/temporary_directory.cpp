#include "support/temporary_directory.h"

#include <cppunit/TestAssert.h>
#include <stdlib.h>

#include <filesystem>

namespace meridian::test {

TemporaryDirectory::TemporaryDirectory() {
    const char* base = ::getenv("TMPDIR");
    std::string name = std::string(base == nullptr ? "/tmp" : base) + "/meridian-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) CPPUNIT_FAIL("mkdtemp " + name);
    path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

}  // namespace meridian::test
