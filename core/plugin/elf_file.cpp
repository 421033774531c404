#include "plugin/elf_file.h"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace meridian::plugin {
namespace {

constexpr size_t program_headers_max = 256;
constexpr size_t note_bytes_max = 64 << 10;
constexpr size_t symbol_bytes_max = 64 << 20;  // symbols, and their names

#if defined(__x86_64__)
constexpr uint16_t our_machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr uint16_t our_machine = EM_AARCH64;
#else
#error "plug-ins are supported on x86-64 and arm64"
#endif

class ElfFile {
public:
    ElfFile(int descriptor, const std::string& path) : descriptor_(descriptor), path_(path) {}

    Error error(const std::string& what) const { return Error{path_ + ": " + what}; }

    Result<void> open() {
        struct stat status {};
        if (::fstat(descriptor_, &status) != 0) return error(std::strerror(errno));
        size_ = static_cast<uint64_t>(status.st_size);
        if (size_ < sizeof header_ || !read(0, &header_, sizeof header_)) {
            return error("not a shared object: it has " + std::to_string(size_) + " bytes");
        }
        if (std::memcmp(header_.e_ident, ELFMAG, SELFMAG) != 0)
            return error("not a shared object: it does not begin with the ELF magic");
        if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != ELFDATA2LSB ||
            header_.e_machine != our_machine) {
            return error("a shared object for another machine: found ELF machine " + std::to_string(header_.e_machine) +
                         ", expected " + std::to_string(our_machine));
        }
        if (header_.e_type != ET_DYN) {
            return error("not a shared object: found ELF type " + std::to_string(header_.e_type) + ", expected " +
                         std::to_string(ET_DYN));
        }
        return check_complete();
    }

    Result<meridian_identity> identity() const {
        for (const Elf64_Phdr& program : programs_) {
            if (program.p_type != PT_NOTE || program.p_filesz > note_bytes_max) continue;
            std::vector<char> bytes(program.p_filesz);
            if (!read(program.p_offset, bytes.data(), bytes.size())) return error("its notes cannot be read");
            if (const char* found = find_note(bytes)) {
                meridian_identity identity{};
                std::memcpy(&identity, found, sizeof identity);
                return identity;
            }
        }
        return error("not a Meridian plug-in: it has no ELF note of owner '" MERIDIAN_NOTE_OWNER "'");
    }

    Result<std::vector<std::string>> exports() const {
        std::vector<Elf64_Shdr> sections(header_.e_shnum);
        if (sections.empty() || header_.e_shentsize != sizeof(Elf64_Shdr) ||
            !read(header_.e_shoff, sections.data(), sections.size() * sizeof(Elf64_Shdr))) {
            return error("its exported symbols cannot be checked: it has no section headers");
        }
        std::vector<std::string> names;
        for (const Elf64_Shdr& section : sections) {
            if (section.sh_type != SHT_DYNSYM) continue;
            if (section.sh_link >= sections.size()) return error("damaged: its symbols have no names");
            const Elf64_Shdr& strings = sections[section.sh_link];
            if (section.sh_size > symbol_bytes_max || strings.sh_size > symbol_bytes_max) {
                return error("its symbol table has " + std::to_string(section.sh_size + strings.sh_size) +
                             " bytes, expected at most " + std::to_string(symbol_bytes_max));
            }
            std::vector<Elf64_Sym> symbols(section.sh_size / sizeof(Elf64_Sym));
            if (!read(section.sh_offset, symbols.data(), symbols.size() * sizeof(Elf64_Sym)))
                return truncated(section.sh_offset, section.sh_size);
            std::vector<char> text(strings.sh_size + 1, '\0');
            if (!read(strings.sh_offset, text.data(), strings.sh_size))
                return truncated(strings.sh_offset, strings.sh_size);
            for (const Elf64_Sym& symbol : symbols) {
                if (!is_export(symbol)) continue;
                if (symbol.st_name >= strings.sh_size) return error("damaged: a symbol's name lies outside the table");
                std::string name = text.data() + symbol.st_name;
                if (name[0] == '_' && name[1] != 'Z') continue;
                names.push_back(std::move(name));
            }
        }
        return names;
    }

private:
    static bool is_export(const Elf64_Sym& symbol) {
        const unsigned visibility = ELF64_ST_VISIBILITY(symbol.st_other);
        return symbol.st_shndx != SHN_UNDEF && ELF64_ST_BIND(symbol.st_info) != STB_LOCAL &&
               (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
    }

    bool read(uint64_t offset, void* out, size_t size) const {
        if (size > size_ || offset > size_ - size) return false;
        return ::pread(descriptor_, out, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
    }

    // A truncated file would kill the process when a page behind its end is touched.
    Result<void> check_complete() {
        if (header_.e_phentsize != sizeof(Elf64_Phdr) || header_.e_phnum == 0 ||
            header_.e_phnum > program_headers_max) {
            return error("damaged: " + std::to_string(header_.e_phnum) + " program headers of " +
                         std::to_string(header_.e_phentsize) + " bytes");
        }
        programs_.resize(header_.e_phnum);
        const size_t bytes = programs_.size() * sizeof(Elf64_Phdr);
        if (!read(header_.e_phoff, programs_.data(), bytes)) return truncated(header_.e_phoff, bytes);
        for (const Elf64_Phdr& program : programs_) {
            if (program.p_filesz > size_ || program.p_offset > size_ - program.p_filesz) {
                return truncated(program.p_offset, program.p_filesz);
            }
        }
        const uint64_t sections = uint64_t{header_.e_shnum} * header_.e_shentsize;
        if (header_.e_shoff != 0 && (sections > size_ || header_.e_shoff > size_ - sections))
            return truncated(header_.e_shoff, sections);
        return {};
    }

    Error truncated(uint64_t offset, uint64_t size) const {
        return error("truncated: it has " + std::to_string(size_) + " bytes, its headers speak of " +
                     std::to_string(size) + " bytes at offset " + std::to_string(offset));
    }

    static size_t padded(uint64_t size) { return static_cast<size_t>((size + 3) / 4 * 4); }

    // The identity in our note, or null. Notes follow each other: three words, owner, content, each padded to 4.
    static const char* find_note(const std::vector<char>& bytes) {
        constexpr size_t words = 12;
        for (size_t at = 0; bytes.size() - at >= words;) {
            uint32_t sizes[3];
            std::memcpy(sizes, bytes.data() + at, words);
            const size_t owner = at + words;
            if (sizes[0] > bytes.size() || sizes[1] > bytes.size()) return nullptr;
            const size_t content = owner + padded(sizes[0]);
            const size_t next = content + padded(sizes[1]);
            if (content > bytes.size() || sizes[1] > bytes.size() - content) return nullptr;
            if (sizes[0] == sizeof MERIDIAN_NOTE_OWNER && sizes[2] == MERIDIAN_NOTE_TYPE &&
                sizes[1] >= sizeof(meridian_identity) &&
                std::memcmp(bytes.data() + owner, MERIDIAN_NOTE_OWNER, sizeof MERIDIAN_NOTE_OWNER) == 0) {
                return bytes.data() + content;
            }
            at = std::min(next, bytes.size());
        }
        return nullptr;
    }

    int descriptor_;
    const std::string& path_;
    uint64_t size_ = 0;
    Elf64_Ehdr header_{};
    std::vector<Elf64_Phdr> programs_;
};

}  // namespace

Result<meridian_identity> read_elf_identity(int descriptor, const std::string& path) {
    ElfFile file(descriptor, path);
    if (auto opened = file.open(); !opened) return opened.error();
    return file.identity();
}

Result<std::vector<std::string>> read_elf_exports(int descriptor, const std::string& path) {
    ElfFile file(descriptor, path);
    if (auto opened = file.open(); !opened) return opened.error();
    return file.exports();
}

}  // namespace meridian::plugin
