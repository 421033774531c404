#include "parameters.h"

#include <algorithm>

namespace meridian::store_pg {
namespace {

constexpr uint32_t oid_bytea = 17;
constexpr uint32_t oid_int8 = 20;

template <class Number>
void append(std::string& out, Number value) {
    for (int shift = static_cast<int>(sizeof value) * 8 - 8; shift >= 0; shift -= 8)
        out.push_back(static_cast<char>(static_cast<unsigned char>(value >> shift)));
}

}  // namespace

void ArrayParameter::add(std::string_view bytes) {
    append(elements_, static_cast<uint32_t>(bytes.size()));
    elements_.append(bytes);
    count_ += 1;
}

void ArrayParameter::add(uint64_t number) {
    append(elements_, uint32_t{8});
    append(elements_, number);
    count_ += 1;
}

void ArrayParameter::add_null() {
    append(elements_, UINT32_MAX);
    has_null_ = true;
    count_ += 1;
}

std::string ArrayParameter::binary() const {
    std::string out;
    out.reserve(elements_.size() + 20);
    append(out, count_ == 0 ? uint32_t{0} : uint32_t{1});  // dimensions
    append(out, has_null_ ? uint32_t{1} : uint32_t{0});
    append(out, type_ == Of::int8 ? oid_int8 : oid_bytea);
    if (count_ != 0) {
        append(out, count_);
        append(out, uint32_t{1});  // the first subscript
    }
    return out + elements_;
}

Parameters& Parameters::number(uint64_t value) {
    append(values_.emplace_back().emplace(), value);
    return *this;
}

Parameters& Parameters::bytes(std::string_view value) {
    values_.emplace_back().emplace(value);
    return *this;
}

Parameters& Parameters::null() {
    values_.emplace_back();
    return *this;
}

Parameters& Parameters::array(const ArrayParameter& value) {
    values_.emplace_back(value.binary());
    return *this;
}

std::vector<const char*> Parameters::pointers() const {
    std::vector<const char*> out;
    for (const auto& value : values_) out.push_back(value ? value->data() : nullptr);
    return out;
}

std::vector<int> Parameters::lengths() const {
    std::vector<int> out;
    for (const auto& value : values_) out.push_back(value ? static_cast<int>(value->size()) : 0);
    return out;
}

uint64_t number_of(std::string_view binary) {
    uint64_t value = 0;
    for (const char byte : binary) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
}

uint64_t bounded(uint64_t value) {
    return std::min<uint64_t>(value, INT64_MAX);
}

}  // namespace meridian::store_pg
