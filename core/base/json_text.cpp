#include "base/json_text.h"

#include <vector>

#include "base/utf8.h"

namespace meridian {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_hex_digit(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

class Scanner {
public:
    explicit Scanner(std::string_view text) : rest_(text) {}

    bool at_end() const { return rest_.empty(); }
    char peek() const { return rest_.empty() ? '\0' : rest_[0]; }
    bool take(char expected) {
        if (peek() != expected || rest_.empty()) return false;
        rest_.remove_prefix(1);
        return true;
    }
    bool take(std::string_view expected) {
        if (rest_.substr(0, expected.size()) != expected) return false;
        rest_.remove_prefix(expected.size());
        return true;
    }

    bool string() {
        if (!take('"')) return false;
        while (!rest_.empty()) {
            const char c = rest_[0];
            rest_.remove_prefix(1);
            if (c == '"') return true;
            if (static_cast<unsigned char>(c) < 0x20) return false;
            if (c == '\\' && !escape()) return false;
        }
        return false;
    }

    bool scalar() {
        if (peek() == '"') return string();
        if (peek() == '-' || is_digit(peek())) return number();
        return take("true") || take("false") || take("null");
    }

private:
    bool escape() {
        if (rest_.empty()) return false;
        const char c = rest_[0];
        rest_.remove_prefix(1);
        if (c != 'u') return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
        for (int i = 0; i < 4; ++i) {
            if (!is_hex_digit(peek())) return false;
            rest_.remove_prefix(1);
        }
        return true;
    }
    bool digits() {
        if (!is_digit(peek())) return false;
        while (is_digit(peek())) rest_.remove_prefix(1);
        return true;
    }
    bool number() {
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            return digits();
        }
        return true;
    }

    std::string_view rest_;
};

}  // namespace

bool is_compact_json(std::string_view text) {
    if (!is_valid_utf8(text)) return false;
    Scanner in(text);
    std::vector<bool> in_object;  // for each open container
    for (;;) {
        // A value begins here.
        if (in.take('{')) {
            if (!in.take('}')) {
                in_object.push_back(true);
                if (!in.string() || !in.take(':')) return false;
                continue;
            }
        } else if (in.take('[')) {
            if (!in.take(']')) {
                in_object.push_back(false);
                continue;
            }
        } else if (!in.scalar()) {
            return false;
        }
        // A value has ended: close what it ends, or go on to the next one.
        while (!in_object.empty() && in.take(in_object.back() ? '}' : ']')) in_object.pop_back();
        if (in_object.empty()) return in.at_end();
        if (!in.take(',')) return false;
        if (in_object.back() && (!in.string() || !in.take(':'))) return false;
    }
}

}  // namespace meridian
