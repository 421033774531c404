// Writes compact canonical JSON text (crdts.md section 2.4). The caller gives object members in the order in which they
// are to appear. No recursion, no allocation but the output string. Not thread-safe; a value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace meridian {

class JsonValue;

class JsonWriter {
public:
    void begin_object();
    void end_object();
    void begin_array();
    void end_array();
    void key(std::string_view name);

    void null();
    void boolean(bool truth);
    void number(uint64_t value);
    void number(int64_t value);
    void number(double value);  // NaN and infinities become null
    void string(std::string_view utf8);
    // A string given piece by piece, for long text: begin_string, any number of string_part, end_string.
    void begin_string();
    void string_part(std::string_view utf8);
    void end_string();
    void value(const JsonValue& json);
    // Text that is already canonical JSON.
    void raw(std::string_view json_text);

    const std::string& text() const { return text_; }
    std::string take() { return std::move(text_); }

private:
    void separate();
    std::string text_;
    std::vector<bool> has_member_;
    bool after_key_ = false;
};

// Appends `utf8` with the escapes of canonical JSON, without the quotes.
void append_json_escaped(std::string& out, std::string_view utf8);
// Appends a double in canonical form: plain notation for 1e-5 <= |x| < 1e16, else d[.ddd]e±x; "null" when not finite.
void append_json_double(std::string& out, double value);

}  // namespace meridian
