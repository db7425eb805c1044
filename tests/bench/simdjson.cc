#include "tests/bench/simdjson.h"

#include <simdjson.h>

using namespace simdjson;

static uint64_t visit(ondemand::value value)
{
    uint64_t sum = 0;
    switch (value.type()) {
    case ondemand::json_type::object:
        for (auto field : value.get_object()) {
            std::string_view key = field.unescaped_key();
            sum += key.size() + visit(field.value());
        }
        return sum;
    case ondemand::json_type::array:
        for (auto child : value.get_array())
            sum += visit(child.value());
        return sum;
    case ondemand::json_type::string: return std::string_view(value.get_string()).size();
    default: return 0;
    }
}

uint64_t simdjson_visit(const char *text, const size_t *lens, size_t count)
{
    static ondemand::parser parser;
    uint64_t sum = 0;
    try {
        for (size_t i = 0; i < count; i++) {
            auto doc = parser.iterate(text, lens[i], lens[i] + SIMDJSON_PADDING);
            sum += visit(ondemand::value(doc.get_value()));
            text += lens[i];
        }
    } catch (const simdjson_error &) {
        return UINT64_MAX;
    }
    return sum;
}
