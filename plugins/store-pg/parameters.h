// Parameters of a statement in PostgreSQL's binary form: numbers in network order, arrays of one dimension. Values:
// bytes are copied into it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meridian::store_pg {

// An array under construction.
class ArrayParameter {
public:
    enum class Of { int8, bytea };
    explicit ArrayParameter(Of type) : type_(type) {}

    void add(std::string_view bytes);
    void add(uint64_t number);  // int8 has no unsigned numbers: the bits are kept
    void add_null();
    size_t count() const { return count_; }
    std::string binary() const;

private:
    Of type_;
    uint32_t count_ = 0;
    bool has_null_ = false;
    std::string elements_;
};

class Parameters {
public:
    Parameters& number(uint64_t value);
    Parameters& bytes(std::string_view value);
    Parameters& text(std::string_view value) { return bytes(value); }
    Parameters& null();
    Parameters& array(const ArrayParameter& value);

    int count() const { return static_cast<int>(values_.size()); }
    // For PQsendQueryPrepared; valid until the next change.
    std::vector<const char*> pointers() const;
    std::vector<int> lengths() const;
    std::vector<int> formats() const { return std::vector<int>(values_.size(), 1); }

private:
    std::vector<std::optional<std::string>> values_;
};

// Of a result's cell of type int8.
uint64_t number_of(std::string_view binary);
// deadline_ms and limits: the greatest int8 stands for everything beyond.
uint64_t bounded(uint64_t value);

}  // namespace meridian::store_pg
