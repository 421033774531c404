// make_cluster_corpus ENVELOPES_DIRECTORY MESSAGES_DIRECTORY
//
// Writes an envelope of each form and a log of ops, and a few messages of every kind, unsigned and signed.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>

#include "base/msgpack.h"
#include "replication/envelope.h"
#include "replication/legacy_log.h"
#include "replication/message_samples.h"

using namespace meridian;

namespace {

void write_file(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: make_cluster_corpus ENVELOPES_DIRECTORY MESSAGES_DIRECTORY\n";
        return 2;
    }
    const std::filesystem::path envelopes = argv[1], messages = argv[2];
    // As in fuzz_envelope and fuzz_cluster_message.
    const std::pair<const char*, replication::Seal> seals[] = {
        {"plain", {"", "", false}}, {"named", {"blue", "", false}}, {"signed", {"blue", "secret", false}}};

    replication::Envelope envelope;
    envelope.origin_node_id = 12337797906776987886U;
    envelope.namespace_name = "room";
    envelope.key = "gc:views";
    envelope.delta_bytes =
        "\x81\xa8"
        "counters\x81\x07\x05";
    write_file(envelopes / "legacy", encode_envelope(envelope, seals[0].second));
    std::string array;
    MsgpackWriter writer(array);
    writer.array(4);
    writer.unsigned_integer(1);
    writer.string(envelope.namespace_name);
    writer.string(envelope.key);
    writer.array(2);
    writer.unsigned_integer(1);
    writer.unsigned_integer(200);
    write_file(envelopes / "legacy-array", array);
    envelope.numbered = replication::Envelope::Numbered{111411200000000000, 300, 1, 1700000000000, false, "payload"};
    for (const auto& [name, seal] : seals) write_file(envelopes / name, encode_envelope(envelope, seal));
    envelope.numbered->repeated = true;
    write_file(envelopes / "repeated", encode_envelope(envelope, seals[0].second));
    replication::LegacyLogWriter log(SIZE_MAX, SIZE_MAX);
    for (uint64_t position = 1; position <= 2; ++position) {
        (void)log.add({position, "room", "gc:views", envelope.delta_bytes, 1700000000000});
    }
    write_file(envelopes / "log", std::move(log).finish());

    std::mt19937_64 random(1);
    for (const auto& [name, seal] : seals) {
        for (size_t kind = 0; kind < test::body_kinds; ++kind) {
            const replication::Message message = test::random_message(random, kind, seal.cluster_id());
            write_file(messages / (std::string(name) + "-" + std::to_string(kind)), encode_message(message, seal));
        }
    }
    return 0;
}
