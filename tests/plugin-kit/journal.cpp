#include "journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

namespace meridian::plugin_kit {
namespace {

[[noreturn]] void fail(meridian_status status, const std::string& text) {
    throw abi::Failure(status, text);
}

class Writer {
public:
    void number(uint64_t value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof value); }
    void text(std::string_view value) {
        number(value.size());
        bytes_.append(value);
    }
    void optional(const std::optional<std::string>& value) {
        number(value ? 1 : 0);
        text(value.value_or(""));
    }
    void name(const abi::Name& value) {
        text(value.namespace_name);
        text(value.key);
    }
    const std::string& bytes() const { return bytes_; }

private:
    std::string bytes_;
};

// Of a file that this class has written: it is not checked.
class Reader {
public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}
    bool at_end() const { return bytes_.size() < sizeof(uint64_t); }
    uint64_t number() {
        uint64_t value = 0;
        std::memcpy(&value, bytes_.data(), sizeof value);
        bytes_.remove_prefix(sizeof value);
        return value;
    }
    std::string text() {
        const uint64_t size = number();
        std::string out(bytes_.substr(0, size));
        bytes_.remove_prefix(size);
        return out;
    }
    std::optional<std::string> optional() {
        const bool present = number() != 0;
        std::string value = text();
        return present ? std::optional<std::string>(std::move(value)) : std::nullopt;
    }
    abi::Name name() {
        std::string namespace_name = text();
        return abi::Name(namespace_name, text());
    }

private:
    std::string_view bytes_;
};

}  // namespace

Journal::Journal(const std::string& directory, bool lock) : path_(directory + "/journal") {
    file_ = FileDescriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!file_.valid()) fail(MERIDIAN_IO, path_ + ": " + std::strerror(errno));
    if (!lock) return;
    const std::string holder_path = directory + "/holder";
    if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
        std::string holder;
        std::ifstream(holder_path) >> holder;
        fail(MERIDIAN_IN_USE, directory + ": in use by process " + holder);
    }
    std::ofstream(holder_path) << ::getpid() << "\n";
}

void Journal::append(const JournalRecord& record) {
    Writer out;
    out.number(record.entries.size());
    for (const abi::Entry& entry : record.entries) {
        for (const uint64_t value : {entry.position, entry.origin_node_id, entry.origin_incarnation,
                                     entry.origin_sequence, entry.wall_ms, entry.deadline_ms}) {
            out.number(value);
        }
        out.name(entry.name);
        out.text(entry.payload);
    }
    out.number(record.metadata.size());
    for (const abi::MetadataWrite& write : record.metadata) {
        out.text(write.name);
        out.optional(write.value);
    }
    out.number(record.snapshots.size());
    for (const abi::Snapshot& snapshot : record.snapshots) {
        out.name(snapshot.name);
        out.number(snapshot.position);
        out.number(snapshot.deadline_ms);
        out.optional(snapshot.state);
    }
    const std::string& bytes = out.bytes();
    for (size_t written = 0; written < bytes.size();) {
        const ssize_t count = ::write(file_.get(), bytes.data() + written, bytes.size() - written);
        if (count <= 0) fail(MERIDIAN_OUTCOME_UNKNOWN, path_ + ": " + std::strerror(errno));
        written += static_cast<size_t>(count);
    }
}

void Journal::replay(const std::function<void(JournalRecord)>& function) const {
    std::ifstream stream(path_, std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    Reader in(content);
    while (!in.at_end()) {
        JournalRecord record;
        for (uint64_t count = in.number(); count != 0; --count) {
            abi::Entry entry;
            for (uint64_t* value : {&entry.position, &entry.origin_node_id, &entry.origin_incarnation,
                                    &entry.origin_sequence, &entry.wall_ms, &entry.deadline_ms}) {
                *value = in.number();
            }
            entry.name = in.name();
            entry.payload = in.text();
            record.entries.push_back(std::move(entry));
        }
        for (uint64_t count = in.number(); count != 0; --count) {
            std::string name = in.text();
            record.metadata.push_back({std::move(name), in.optional()});
        }
        for (uint64_t count = in.number(); count != 0; --count) {
            abi::Snapshot snapshot;
            snapshot.name = in.name();
            snapshot.position = in.number();
            snapshot.deadline_ms = in.number();
            snapshot.state = in.optional();
            record.snapshots.push_back(std::move(snapshot));
        }
        function(std::move(record));
    }
}

}  // namespace meridian::plugin_kit
