// store-kv as it is, over a file system whose fdatasync does nothing for the records of the log: what the test for lost
// power must find wrong. (Headers of segments are synced, or it would be found too easily.)
#include "descriptor.h"
#include "store.h"

namespace {

using meridian::store_kv::File;
using meridian::store_kv::FileSystem;

class UnsyncedFile final : public File {
public:
    explicit UnsyncedFile(std::unique_ptr<File> real) : real_(std::move(real)) {}
    int64_t read(uint64_t offset, void* out, size_t size) override { return real_->read(offset, out, size); }
    int64_t write(uint64_t offset, const void* data, size_t size) override {
        header_written_ = header_written_ || offset == 0;
        return real_->write(offset, data, size);
    }
    int sync() override { return std::exchange(header_written_, false) ? real_->sync() : 0; }
    int allocate(uint64_t size) override { return real_->allocate(size); }
    int64_t size() override { return real_->size(); }

private:
    std::unique_ptr<File> real_;
    bool header_written_ = false;
};

class UnsyncedFileSystem final : public FileSystem {
public:
    int open(const std::string& path, std::unique_ptr<File>& out) override {
        return wrapped(real_.open(path, out), out);
    }
    int create(const std::string& path, std::unique_ptr<File>& out) override {
        return wrapped(real_.create(path, out), out);
    }
    int rename(const std::string& from, const std::string& to) override { return real_.rename(from, to); }
    int remove(const std::string& path) override { return real_.remove(path); }
    int make_directory(const std::string& path) override { return real_.make_directory(path); }
    int sync_directory(const std::string& path) override { return real_.sync_directory(path); }
    int list(const std::string& path, std::vector<std::string>& out) override { return real_.list(path, out); }
    int64_t free_bytes(const std::string& path) override { return real_.free_bytes(path); }

private:
    static int wrapped(int code, std::unique_ptr<File>& file) {
        if (code == 0) file = std::make_unique<UnsyncedFile>(std::move(file));
        return code;
    }
    FileSystem& real_ = meridian::store_kv::real_file_system();
};

UnsyncedFileSystem files;

class UnsyncedStore : public meridian::store_kv::KvStore {
public:
    UnsyncedStore(meridian::abi::Host host, const meridian::abi::Config& config) : KvStore(host, config, files) {}
};

}  // namespace

MERIDIAN_STORE_PLUGIN(UnsyncedStore, "store-kv-unsynced", "0.1.0", 0, "Apache-2.0",
                      "store-kv without fdatasync, for a test that must fail", meridian::store_kv::config_keys)
