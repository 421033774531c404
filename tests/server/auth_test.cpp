// Tokens, permissions, rate limits. The vectors are those of client-api.md section 4.8.
#include <cppunit/extensions/HelperMacros.h>
#include <sodium.h>

#include "auth/glob.h"
#include "auth/permissions.h"
#include "auth/rate_limiter.h"
#include "auth/token.h"
#include "auth/token_cache.h"

namespace {

using namespace meridian::server;

constexpr uint64_t expires_at_ms = 4102444800000;
constexpr const char* v1_admin_token =
    "hKluYW1lc3BhY2WnbXktcm9vbaljbGllbnRfaWQqqmV4cGlyZXNfYXTPAAADuyzD2ACrcGVybWlzc2lvbnODpHJlYWSRoSqld3JpdGWRoSqlYWRtaW"
    "7D."
    "5CkcfrpYH8rrZ8-d6J4P9zCUeDg0s_-glgEBvfM7g0755xtUlNqKqQCbG_v4eHZtCQjgBFQ_l6SLT7XfCMf9Cg";
constexpr const char* v2_token =
    "hKluYW1lc3BhY2WnbXktcm9vbaljbGllbnRfaWQqqmV4cGlyZXNfYXTPAAADuyzD2ACrcGVybWlzc2lvbnOFoXYCoXKRgaFwoSqhd5KCoXCkZ2M6Kq"
    "FvAYOhcLJvcjpj"
    "YXJ0LXtjbGllbnRJZH2hbwOhZc8AAAG6YNM4AKVhZG1pbsKicmwy."
    "FO2AwLh5fZIZzMLTopdwt9X7fHTWwlXUcZSlCmgzTvpzSLAVXXzWciWZudeCToz8GwsGtriek8I1h2XhSr6-AA";
constexpr const char* signed_token =
    "haluYW1lc3BhY2WnbXktcm9vbaljbGllbnRfaWQqqmV4cGlyZXNfYXTPAAADuyzD2ACrcGVybWlzc2lvbnODpHJlYWSRoSqld3JpdGWRoSqlYWRtaW"
    "7CrWNsaWVudF9w"
    "dWJrZXnEIOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs."
    "pOjSpeMSwBUHHw2gQ952anOJNHxEWsiWw5Eq7clGR5RgruDmKT6T1VJX7BJaMpWhO1C5lSusvCUmv6lPn9OpCA";

SigningKey key_of(uint8_t byte) {
    std::array<uint8_t, 32> seed{};
    seed.fill(byte);
    return SigningKey::from_seed(seed);
}

std::string from_hex(const std::string& hex) {
    std::string bytes(hex.size() / 2, '\0');
    size_t size = 0;
    sodium_hex2bin(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size(), hex.data(), hex.size(), nullptr, &size,
                   nullptr);
    return bytes;
}

Claims v1_claims(bool admin) {
    Claims claims;
    claims.namespace_name = "my-room";
    claims.client_id = 42;
    claims.expires_at_ms = expires_at_ms;
    claims.permissions.version = 1;
    claims.permissions.read = {{"*", op_mask_all, {}}};
    claims.permissions.write = {{"*", op_mask_all, {}}};
    claims.permissions.admin = admin;
    return claims;
}

class AuthTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(AuthTest);
    CPPUNIT_TEST(issues_the_published_tokens_byte_for_byte);
    CPPUNIT_TEST(verifies_the_published_tokens);
    CPPUNIT_TEST(refuses_tokens_with_the_code_of_what_is_wrong);
    CPPUNIT_TEST(a_token_expires_at_its_very_millisecond);
    CPPUNIT_TEST(claims_may_come_in_any_order_with_unknown_fields);
    CPPUNIT_TEST(malformed_claims_are_refused);
    CPPUNIT_TEST(verifies_op_signatures);
    CPPUNIT_TEST(glob_matches_whole_texts_and_stays_fast);
    CPPUNIT_TEST(rules_grant_by_pattern_mask_and_time);
    CPPUNIT_TEST(version_1_patterns_are_not_expanded);
    CPPUNIT_TEST(rate_limit_is_a_sliding_window_of_accepted_requests);
    CPPUNIT_TEST(namespaces_are_checked);
    CPPUNIT_TEST_SUITE_END();

public:
    void setUp() override { CPPUNIT_ASSERT(sodium_init() >= 0); }

private:
    void issues_the_published_tokens_byte_for_byte() {
        CPPUNIT_ASSERT_EQUAL(std::string(v1_admin_token), issue_token(v1_claims(true), key_of(0x42)));
        Claims v2 = v1_claims(false);
        v2.permissions = {
            2, {{"*", op_mask_all, {}}}, {{"gc:*", 1, {}}, {"or:cart-{clientId}", 3, 1900000000000}}, false, 50};
        CPPUNIT_ASSERT_EQUAL(std::string(v2_token), issue_token(v2, key_of(0x42)));
        Claims with_key = v1_claims(false);
        with_key.client_key = key_of(0x07).public_key();
        CPPUNIT_ASSERT_EQUAL(std::string(signed_token), issue_token(with_key, key_of(0x42)));
    }

    void verifies_the_published_tokens() {
        const PublicKey key = key_of(0x42).public_key();
        CPPUNIT_ASSERT(verify_token(v1_admin_token, key).claims == v1_claims(true));
        const auto v2 = verify_token(v2_token, key).claims;
        CPPUNIT_ASSERT(v2.has_value());
        CPPUNIT_ASSERT_EQUAL(uint32_t{50}, *v2->permissions.requests_per_second);
        CPPUNIT_ASSERT(verify_token(signed_token, key).claims->client_key == key_of(0x07).public_key());
    }

    void refuses_tokens_with_the_code_of_what_is_wrong() {
        const PublicKey key = key_of(0x42).public_key();
        const auto code = [&key](const std::string& token) {
            const TokenVerdict verdict = verify_token(token, key);
            CPPUNIT_ASSERT(!verdict.claims);
            return verdict.refusal.code;
        };
        const std::string good = v1_admin_token;
        CPPUNIT_ASSERT_EQUAL(std::string("invalid_format"), code("nodot"));
        CPPUNIT_ASSERT_EQUAL(std::string("auth_error"), code("abc.!!"));
        CPPUNIT_ASSERT_EQUAL(std::string("auth_error"), code(good + "="));
        CPPUNIT_ASSERT_EQUAL(std::string("invalid_format"), code("abc.AAAA"));
        std::string flipped = good;
        flipped[5] = flipped[5] == 'A' ? 'B' : 'A';
        CPPUNIT_ASSERT_EQUAL(std::string("invalid_signature"), code(flipped));
        CPPUNIT_ASSERT_EQUAL(std::string("invalid_format"),
                             code(std::string(token_bytes_max, 'a') + "." + std::string(86, 'A')));
        // Rightly signed, but no claims.
        const std::string payload = base64url_encode("\x01");
        const auto signature = key_of(0x42).sign(payload);
        const std::string token =
            payload + "." + base64url_encode({reinterpret_cast<const char*>(signature.data()), 64});
        CPPUNIT_ASSERT_EQUAL(std::string("auth_error"), code(token));
    }

    void a_token_expires_at_its_very_millisecond() {
        TokenCache cache(key_of(0x42).public_key());
        CPPUNIT_ASSERT(std::holds_alternative<SessionPtr>(cache.verify(v1_admin_token, expires_at_ms - 1)));
        for (int i = 0; i < 2; ++i) {  // remembered first, then checked anew
            const auto late = cache.verify(v1_admin_token, expires_at_ms);
            CPPUNIT_ASSERT(std::holds_alternative<TokenRefusal>(late));
            CPPUNIT_ASSERT_EQUAL(std::string("token expired at 4102444800000ms (now: 4102444800000ms)"),
                                 std::get<TokenRefusal>(late).message);
        }
    }

    void claims_may_come_in_any_order_with_unknown_fields() {
        // {x: 1, permissions: {admin: false, write: [], read: ["a"]}, expires_at: 9.0 as float64, client_id: 7,
        // namespace: "n"}
        const std::string bytes = from_hex(
            "85a17801ab7065726d697373696f6e7383a561646d696ec2a57772697465"
            "90a47265616491a161"
            "aa657870697265735f6174cb4022000000000000"
            "a9636c69656e745f696407a96e616d657370616365a16e");
        const auto claims = decode_claims(bytes);
        CPPUNIT_ASSERT_MESSAGE(claims.ok() ? "" : claims.error().message, claims.ok());
        CPPUNIT_ASSERT_EQUAL(uint64_t{7}, claims->client_id);
        CPPUNIT_ASSERT_EQUAL(uint64_t{9}, claims->expires_at_ms);
        CPPUNIT_ASSERT_EQUAL(1, claims->permissions.version);
        CPPUNIT_ASSERT_EQUAL(std::string("a"), claims->permissions.read[0].pattern);
    }

    void malformed_claims_are_refused() {
        const std::string good = encode_claims(v1_claims(true));
        CPPUNIT_ASSERT(decode_claims(good).ok());
        for (size_t size = 0; size < good.size(); ++size) CPPUNIT_ASSERT(!decode_claims(good.substr(0, size)).ok());
        std::string no_admin = good;
        no_admin.back() = '\xc0';  // nil where a boolean belongs
        CPPUNIT_ASSERT(!decode_claims(no_admin).ok());
    }

    void verifies_op_signatures() {
        const std::string op = from_hex("81a847436f756e74657282a9636c69656e745f69642aa6616d6f756e7405");
        const std::string signature = from_hex(
            "8c19eb0819570bad046f1a38fa5846ce8672c694f5074e0301de326fe7695b41c2811c5b65e40937cda224ffca2e8e610c33353f41"
            "f53fab4016910caf73bd0d");
        CPPUNIT_ASSERT(verify_signature(signature, op, key_of(0x07).public_key()));
        CPPUNIT_ASSERT(!verify_signature(signature, op + "x", key_of(0x07).public_key()));
        CPPUNIT_ASSERT(!verify_signature(signature.substr(1), op, key_of(0x07).public_key()));
    }

    void glob_matches_whole_texts_and_stays_fast() {
        CPPUNIT_ASSERT(glob_matches("*", ""));
        CPPUNIT_ASSERT(glob_matches("gc:*", "gc:a/b:c"));
        CPPUNIT_ASSERT(glob_matches("a*b*c", "axxbxbxc"));
        CPPUNIT_ASSERT(glob_matches("a*b",
                                    "a\xc3\xa9"
                                    "b"));
        CPPUNIT_ASSERT(glob_matches("", ""));
        CPPUNIT_ASSERT(!glob_matches("", "a"));
        CPPUNIT_ASSERT(!glob_matches("gc:*", "xgc:a"));
        CPPUNIT_ASSERT(!glob_matches("a*b", "abc"));
        CPPUNIT_ASSERT(!glob_matches("a?c", "abc"));
        std::string stars;
        for (int i = 0; i < 200; ++i) stars += "a*";
        CPPUNIT_ASSERT(!glob_matches(stars + "b", std::string(1000, 'a')));
    }

    void rules_grant_by_pattern_mask_and_time() {
        const Access access(verify_token(v2_token, key_of(0x42).public_key()).claims->permissions, 42);
        CPPUNIT_ASSERT(access.reads_everything());
        CPPUNIT_ASSERT(access.can_write("gc:x", 0x0001, 0));
        CPPUNIT_ASSERT(!access.can_write("gc:x", 0x0002, 0));
        CPPUNIT_ASSERT(access.can_write("or:cart-42", 0x0002, 1900000000000 - 1));
        CPPUNIT_ASSERT(!access.can_write("or:cart-42", 0x0002, 1900000000000));
        CPPUNIT_ASSERT(!access.can_write("or:cart-43", 0x0002, 0));
        const Access none(Permissions{}, 42);
        CPPUNIT_ASSERT(!none.can_read("a", 0));
        CPPUNIT_ASSERT(!none.reads_everything());
    }

    void version_1_patterns_are_not_expanded() {
        Permissions permissions = v1_claims(false).permissions;
        permissions.read = {{"or:{clientId}", op_mask_all, {}}};
        CPPUNIT_ASSERT(Access(permissions, 42).can_read("or:{clientId}", 0));
        CPPUNIT_ASSERT(!Access(permissions, 42).can_read("or:42", 0));
        permissions.version = 2;
        CPPUNIT_ASSERT(Access(permissions, 42).can_read("or:42", 0));
    }

    void rate_limit_is_a_sliding_window_of_accepted_requests() {
        RateLimiter limiter;
        for (int i = 0; i < 3; ++i) CPPUNIT_ASSERT(limiter.allow("n", 1, 3, 1000));
        CPPUNIT_ASSERT(!limiter.allow("n", 1, 3, 2000));
        CPPUNIT_ASSERT(limiter.allow("n", 2, 3, 2000));
        CPPUNIT_ASSERT(!limiter.allow("n", 1, 3, 1'000'999));
        CPPUNIT_ASSERT(limiter.allow("n", 1, 3, 1'001'000));  // exactly one second old: out of the window
        CPPUNIT_ASSERT(!limiter.allow("n", 3, 0, 0));
        limiter.sweep(10'000'000);
        CPPUNIT_ASSERT_EQUAL(size_t{0}, limiter.clients());
    }

    void namespaces_are_checked() {
        CPPUNIT_ASSERT(is_valid_namespace("my-room_1"));
        CPPUNIT_ASSERT(is_valid_namespace(std::string(64, 'a')));
        for (const std::string& bad :
             {std::string(), std::string("A"), std::string("a/b"), std::string("a b"), std::string(65, 'a')}) {
            CPPUNIT_ASSERT_MESSAGE(bad, !is_valid_namespace(bad));
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(AuthTest);

}  // namespace
