// The replay window against a model that remembers everything.
#include "replication/replay_window.h"

#include <cppunit/extensions/HelperMacros.h>
#include <rapidcheck.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace meridian::test {

namespace {

using node::Origin;
using replication::Freshness;
using replication::ReplayWindow;

constexpr Origin one{1, 1};
constexpr Origin two{2, 1};
constexpr Origin three{3, 1};

// Remembers every number of one sender, and says what the window must.
class SenderModel {
public:
    SenderModel(uint64_t floor, size_t numbers_max) : floor_(floor), numbers_max_(numbers_max) {}

    Freshness take(uint64_t number) {
        // What is not among the greatest is too old to tell.
        uint64_t floor = floor_;
        if (taken_.size() > numbers_max_)
            floor = *std::next(taken_.rbegin(), static_cast<std::ptrdiff_t>(numbers_max_));
        if (number <= floor) return Freshness::too_old;
        return taken_.insert(number).second ? Freshness::fresh : Freshness::repeated;
    }

private:
    uint64_t floor_;
    size_t numbers_max_;
    std::set<uint64_t> taken_;
};

}  // namespace

class ReplayWindowTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(ReplayWindowTest);
    CPPUNIT_TEST(takes_each_number_once);
    CPPUNIT_TEST(takes_late_numbers_however_far_they_are_apart);
    CPPUNIT_TEST(refuses_what_fell_below_the_kept_numbers);
    CPPUNIT_TEST(keeps_senders_and_incarnations_apart);
    CPPUNIT_TEST(begins_with_the_floor_for_unheard_senders);
    CPPUNIT_TEST(forgets_the_sender_not_heard_for_the_longest_time);
    CPPUNIT_TEST(a_refused_message_keeps_no_sender_alive);
    CPPUNIT_TEST(agrees_with_a_model_that_remembers_everything);
    CPPUNIT_TEST_SUITE_END();

public:
    void takes_each_number_once() {
        ReplayWindow window;
        CPPUNIT_ASSERT(window.take(one, 5, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take(one, 5, 0) == Freshness::repeated);
        CPPUNIT_ASSERT(window.take(one, 6, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take(one, 5, 0) == Freshness::repeated);
        CPPUNIT_ASSERT(window.take(one, UINT64_MAX, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take(one, UINT64_MAX, 0) == Freshness::repeated);
        CPPUNIT_ASSERT(window.take(one, 0, 0) == Freshness::too_old);
    }

    void takes_late_numbers_however_far_they_are_apart() {
        ReplayWindow window;
        for (uint64_t second = 100; second > 0; --second) {
            CPPUNIT_ASSERT(window.take(one, (1'700'000'000 + second) * 1000 << 16, 0) == Freshness::fresh);
        }
        for (uint64_t second = 100; second > 0; --second) {
            CPPUNIT_ASSERT(window.take(one, (1'700'000'000 + second) * 1000 << 16, 0) == Freshness::repeated);
        }
    }

    void refuses_what_fell_below_the_kept_numbers() {
        ReplayWindow window(4, 3);
        for (const uint64_t number : {10, 20, 30, 40}) CPPUNIT_ASSERT(window.take(one, number, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take(one, 10, 0) == Freshness::too_old);
        CPPUNIT_ASSERT(window.take(one, 5, 0) == Freshness::too_old);
        CPPUNIT_ASSERT(window.take(one, 11, 0) == Freshness::fresh);  // the least of four: becomes the floor itself
        CPPUNIT_ASSERT(window.take(one, 11, 0) == Freshness::too_old);
        CPPUNIT_ASSERT(window.take(one, 20, 0) == Freshness::repeated);
    }

    void keeps_senders_and_incarnations_apart() {
        ReplayWindow window;
        CPPUNIT_ASSERT(window.take(one, 5, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take(two, 5, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take({1, 2}, 5, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take(one, 5, 0) == Freshness::repeated);
        CPPUNIT_ASSERT_EQUAL(size_t{3}, window.senders());
    }

    void begins_with_the_floor_for_unheard_senders() {
        ReplayWindow window;
        CPPUNIT_ASSERT(window.take(one, 99, 99) == Freshness::too_old);
        CPPUNIT_ASSERT_EQUAL(size_t{0}, window.senders());
        CPPUNIT_ASSERT(window.take(one, 100, 99) == Freshness::fresh);
        // What counts is when it was first heard.
        CPPUNIT_ASSERT(window.take(one, 99, 0) == Freshness::too_old);
        CPPUNIT_ASSERT(window.take(one, 101, 1000) == Freshness::fresh);
    }

    void forgets_the_sender_not_heard_for_the_longest_time() {
        ReplayWindow window(2, 8);
        CPPUNIT_ASSERT(window.take(one, 5, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take(two, 5, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take(one, 6, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take(three, 5, 0) == Freshness::fresh);
        CPPUNIT_ASSERT_EQUAL(size_t{2}, window.senders());
        CPPUNIT_ASSERT(window.take(one, 6, 0) == Freshness::repeated);
        CPPUNIT_ASSERT(window.take(two, 5, 5) == Freshness::too_old);  // by the floor for unheard ones
        CPPUNIT_ASSERT(window.take(two, 6, 5) == Freshness::fresh);
        CPPUNIT_ASSERT_EQUAL(size_t{2}, window.senders());
    }

    void a_refused_message_keeps_no_sender_alive() {
        ReplayWindow window(2, 8);
        CPPUNIT_ASSERT(window.take(one, 5, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take(two, 5, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take(one, 5, 0) == Freshness::repeated);
        CPPUNIT_ASSERT(window.take(three, 5, 0) == Freshness::fresh);
        CPPUNIT_ASSERT(window.take(two, 5, 0) == Freshness::repeated);
        CPPUNIT_ASSERT(window.take(one, 5, 5) == Freshness::too_old);
    }

    void agrees_with_a_model_that_remembers_everything() {
        const bool held = rc::check("the window agrees with a model", [](uint64_t seed) {
            std::mt19937_64 random(seed);
            const size_t numbers_max = 1 + random() % 20;
            const uint64_t floor = random() % 4 * 1000;
            ReplayWindow window(2, numbers_max);
            SenderModel models[] = {{floor, numbers_max}, {floor, numbers_max}};
            uint64_t newest = floor;
            for (int step = 0; step < 500; ++step) {
                const size_t sender = random() % 2;
                newest += random() % 100;
                // Mostly the newest, else anything not far behind it.
                uint64_t number = newest;
                if (random() % 2 == 0) number -= std::min(number, random() % 2000);
                RC_ASSERT(window.take({sender, 1}, number, floor) == models[sender].take(number));
            }
        });
        CPPUNIT_ASSERT(held);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(ReplayWindowTest);

}  // namespace meridian::test
