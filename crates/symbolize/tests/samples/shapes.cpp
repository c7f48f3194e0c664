// A C++ library with templates, namespaces, lambdas and local linkage; build with -O2.
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace shapes {
namespace {
int hidden(int x) __attribute__((noinline));
int hidden(int x) {
    std::vector<int> values(static_cast<size_t>(x), 7);
    return values.back();
}
}  // namespace

struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
};

struct Square : Shape {
    explicit Square(double side) : side_(side) {}
    double area() const override { return side_ * side_; }
    double side_;
};

template <typename T>
struct Store {
    std::map<std::string, std::unique_ptr<T>> items;
    void put(const std::string &key, std::unique_ptr<T> value) { items[key] = std::move(value); }
    double total() const {
        double sum = 0;
        for (auto &[key, value] : items)
            sum += value->area();
        return sum;
    }
};

template struct Store<Shape>;

double fill(int count) {
    Store<Shape> store;
    auto add = [&store](int i) { store.put("square " + std::to_string(i), std::make_unique<Square>(i)); };
    for (int i = 0; i < count; i++)
        add(i);
    return store.total() + hidden(count);
}
}  // namespace shapes

extern "C" double shapes_fill(int count) { return shapes::fill(count); }
