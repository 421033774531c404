// The test vectors under tests/data/vectors: loading them, and hex text. Throws on a missing or malformed file.
#pragma once

#include <Poco/JSON/Array.h>
#include <Poco/JSON/Object.h>

#include <string>
#include <string_view>
#include <vector>

namespace meridian::test {

using JsonObject = Poco::JSON::Object::Ptr;

// The file `<name>.json`.
JsonObject load_vectors(const std::string& name);
// The objects of the array `member`; fails when there are none, so that no test passes for want of cases.
std::vector<JsonObject> cases_of(const JsonObject& file, const std::string& member);
std::string text_of(const JsonObject& object, const std::string& member);
// True if the member is present and neither null nor false.
bool has(const JsonObject& object, const std::string& member);

std::string from_hex(std::string_view hex);
std::string to_hex(std::string_view bytes);

// Collects the cases that fail, so that one run shows all of them.
class Failures {
public:
    void add(const std::string& id, const std::string& what) { text_ += "\n  " + id + ": " + what; }
    // Adds a failure unless the two are equal.
    void expect_equal(const std::string& id, const std::string& expected, const std::string& found);
    const std::string& text() const { return text_; }

private:
    std::string text_;
};

}  // namespace meridian::test
