#include "rga_history.h"

#include <optional>

namespace meridian::crdt::test {

std::vector<RgaDelta> random_history(std::mt19937_64& random, const HistoryShape& shape) {
    const auto below = [&](uint64_t limit) { return random() % limit; };
    static constexpr char32_t alphabet[] = {U'a', U'b', U'c', U'\u00e9', U'\u20ac', U'\U0001f600'};
    std::vector<int64_t> skew(shape.authors);
    for (int64_t& each : skew) each = static_cast<int64_t>(below(2 * shape.skew_ms + 1)) - shape.skew_ms;
    std::vector<std::optional<Hlc>> last(shape.authors);
    std::vector<Hlc> ids;
    std::vector<RgaDelta> history;
    for (size_t i = 0; i < shape.ops; ++i) {
        RgaDelta delta;
        const size_t author = below(shape.authors);
        if (!ids.empty() && below(100) < shape.delete_percent) {
            delta.add_delete(ids[below(ids.size())]);
            history.push_back(delta);
            continue;
        }
        RgaElement element;
        element.content = alphabet[below(std::size(alphabet))];
        element.id = Hlc{1000 + static_cast<uint64_t>(static_cast<int64_t>(i) + skew[author]),
                         static_cast<uint16_t>(below(3)), author + 1};
        if (!ids.empty() && below(100) < shape.conflict_percent) element.id = ids[below(ids.size())];
        if (last[author] && below(100) < shape.typing_percent) {
            element.origin_id = last[author];
        } else if (!ids.empty() && below(8) != 0) {
            element.origin_id = ids[below(ids.size())];
        }
        if (below(100) < shape.unknown_percent) element.origin_id = Hlc{below(3), 7, 99};
        if (element.origin_id == element.id) element.origin_id.reset();
        last[author] = element.id;
        ids.push_back(element.id);
        delta.add(element);
        history.push_back(delta);
    }
    return history;
}

}  // namespace meridian::crdt::test
