// Records made by operator new. `fixed` deletes them once they are written out, `leak` forgets them.
#include "corpus.h"

#include <memory>

struct Record {
    explicit Record(int number) : number(number) { memset(text, number, sizeof text); }
    int number;
    char text[12 << 10];
};

NOINLINE static Record *parse(int number) {
    return new Record(number); // THE LEAK
}

int main(int count, char **arguments) {
    double seconds;
    int leaks = is_leak(count, arguments, &seconds);
    double end = now() + seconds;
    long sum = 0;
    for (int number = 0; now() < end; number++) {
        std::unique_ptr<Record> record(parse(number));
        sum += record->number;
        nap(0.001);
        if (leaks)
            (void)record.release();
    }
    puts(sum >= 0 ? "done" : "overflow");
    return 0;
}
