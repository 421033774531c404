#include "wire/vectors.h"

#include <Poco/JSON/Parser.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

namespace meridian::test {

JsonObject load_vectors(const std::string& name) {
    const std::string path = std::string(MERIDIAN_TEST_DATA) + "/vectors/" + name + ".json";
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot open " + path);
    std::ostringstream text;
    text << file.rdbuf();
    return Poco::JSON::Parser().parse(text.str()).extract<JsonObject>();
}

std::vector<JsonObject> cases_of(const JsonObject& file, const std::string& member) {
    const Poco::JSON::Array::Ptr array = file->getArray(member);
    if (array.isNull() || array->size() == 0) throw std::runtime_error("no cases under '" + member + "'");
    std::vector<JsonObject> cases;
    for (unsigned i = 0; i < array->size(); ++i) cases.push_back(array->getObject(i));
    return cases;
}

std::string text_of(const JsonObject& object, const std::string& member) {
    return object->getValue<std::string>(member);
}

bool has(const JsonObject& object, const std::string& member) {
    if (!object->has(member) || object->isNull(member)) return false;
    const Poco::Dynamic::Var value = object->get(member);
    return !value.isBoolean() || value.convert<bool>();
}

std::string from_hex(std::string_view hex) {
    const auto digit = [](char c) {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        throw std::runtime_error(std::string("not a hex digit: ") + c);
    };
    if (hex.size() % 2 != 0) throw std::runtime_error("odd number of hex digits");
    std::string bytes;
    for (size_t i = 0; i < hex.size(); i += 2)
        bytes.push_back(static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1])));
    return bytes;
}

std::string to_hex(std::string_view bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string hex;
    for (const char c : bytes) {
        hex.push_back(digits[static_cast<unsigned char>(c) >> 4]);
        hex.push_back(digits[static_cast<unsigned char>(c) & 0xf]);
    }
    return hex;
}

void Failures::expect_equal(const std::string& id, const std::string& expected, const std::string& found) {
    if (expected != found) add(id, "expected " + expected + "\n    found    " + found);
}

}  // namespace meridian::test
