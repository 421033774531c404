#include "rollback.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "file_history.h"
#include "journal_format.h"
#include "name_history.h"

namespace meridian::power_loss {
namespace {

struct Histories {
    std::map<uint64_t, FileHistory> files;
    NameHistory names;
    uint64_t records = 0;
    uint64_t last_sequence = 0;
};

void take(const RecordHeader& header, std::string_view names, std::string_view data, Histories& out) {
    NameChange change;
    change.sequence = header.sequence;
    change.directory = header.inode;
    change.target_directory = header.inode;
    change.name = names;
    switch (header.kind) {
        case Kind::write:
            out.files[header.inode].write(header.sequence, header.a, header.b, header.c, data);
            return;
        case Kind::resize:
            out.files[header.inode].resize(header.sequence, header.a, header.b, data);
            return;
        case Kind::sync:
            if (const auto found = out.files.find(header.inode); found != out.files.end())
                found->second.settle(header.a);
            out.names.settle(header.inode, header.a);
            return;
        case Kind::sync_range:
            out.files[header.inode].settle_range(header.a, header.b, header.c);
            return;
        case Kind::sync_failed:
            if (const auto found = out.files.find(header.inode); found != out.files.end())
                found->second.poison(header.a);
            return;
        case Kind::sync_all:
            for (auto& [inode, file] : out.files) file.settle(header.a);
            out.names.settle_all(header.a);
            return;
        case Kind::cancel:
            out.names.cancel(header.a);
            return;
        case Kind::add_name:
            change.kind = NameChange::Kind::add;
            change.inode = header.a;
            change.is_directory = header.b == 1;
            out.names.add(std::move(change));
            return;
        case Kind::drop_name:
            change.kind = NameChange::Kind::drop;
            change.inode = header.a;
            change.is_directory = header.b == 1;
            out.names.add(std::move(change));
            return;
        case Kind::rename: {
            const size_t middle = names.find('\0');
            change.kind = NameChange::Kind::rename;
            change.target_directory = header.a;
            change.inode = header.b;
            change.replaced = header.c;
            change.name = names.substr(0, middle);
            change.target_name = names.substr(middle + 1);
            out.names.add(std::move(change));
            return;
        }
    }
}

Result<Histories> read_journal(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream stream;
    stream << file.rdbuf();
    const std::string bytes = stream.str();
    Histories out;
    for (size_t at = 0; bytes.size() - at >= sizeof(RecordHeader);) {
        RecordHeader header{};
        std::memcpy(&header, bytes.data() + at, sizeof header);
        if (header.magic != record_magic || header.sequence != out.last_sequence + 1) {
            return Error{path + ": damaged at offset " + std::to_string(at) +
                         ": did two processes write it? A store that starts processes of its own cannot be tested"};
        }
        at += sizeof header;
        // Killed in the middle of the record: the change that it is about was not made.
        if (header.name_size > bytes.size() - at || header.data_size > bytes.size() - at - header.name_size) break;
        const std::string_view rest = std::string_view(bytes).substr(at);
        take(header, rest.substr(0, header.name_size), rest.substr(header.name_size, header.data_size), out);
        at += header.name_size + header.data_size;
        out.records += 1;
        out.last_sequence = header.sequence;
    }
    return out;
}

}  // namespace

Result<RollbackReport> roll_back(const std::string& watched, const std::string& journal, std::mt19937_64& random) {
    auto histories = read_journal(journal + "/journal");
    if (!histories) return histories.error();
    auto now = Tree::scan(watched);
    if (!now) return now.error();

    // Some losses are the same everywhere: everything, or everything after a moment.
    const uint64_t whole = random() % 8;
    const uint64_t cut =
        whole == 0 ? histories->last_sequence / 2 + random() % (histories->last_sequence / 2 + 1) : nothing_lost;
    const bool everything = whole == 1;
    RollbackReport report;
    report.records = histories->records;
    report.names = histories->names.count();
    Tree after = *now;
    report.names_lost = histories->names.lose(after, whole == 0, everything ? 0 : cut, random);
    for (const uint64_t inode : after.files()) {
        const auto found = histories->files.find(inode);
        if (found == histories->files.end() || !found->second.pending()) continue;
        std::string path = now->path(inode);
        if (path.empty()) path = journal + "/keep/" + std::to_string(inode);
        const LossPattern pattern = whole == 0   ? LossPattern::nothing
                                    : everything ? LossPattern::all
                                                 : draw_pattern(random);
        auto lost = found->second.lose(path, pattern, cut, random);
        if (!lost) return lost.error();
        report.sectors += found->second.sector_count();
        report.sectors_lost += *lost;
    }
    if (after == *now) return report;

    const std::string next = watched + ".next";
    if (auto built = after.build(next, *now, journal + "/keep"); !built) return built.error();
    std::error_code error;
    std::filesystem::remove_all(watched, error);
    if (!error) std::filesystem::rename(next, watched, error);
    if (error) return Error{watched + ": replacing it: " + error.message()};
    return report;
}

}  // namespace meridian::power_loss
