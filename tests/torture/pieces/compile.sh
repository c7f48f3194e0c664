#: title: g++ and ld on templates of the standard library, make -j2
#: modes: default follow exact mimalloc-before tcmalloc-behind
#: seconds: 600
"$HERE/need" /usr/bin/g++ g++
for n in 1 2; do
    printf '#include <regex>\n#include <map>\n#include <string>\n#include <iostream>\nint f%s(const std::string &s) { std::map<std::string, std::regex> m; m.emplace(s, std::regex("a+b*[0-9]")); return std::regex_match(s, m[s]); }\n' $n >f$n.cc
done
printf 'int f1(const char *); int main() { return 0; }\n' >main.cc
printf 'all: f1.o f2.o main.o\n\tg++ -g -o all $^\n%%.o: %%.cc\n\tg++ -O2 -g -frandom-seed=1 -ffile-prefix-map=$$WORK=. -c $< -o $@\n' >Makefile
$RUN make -s -j2 >&2
sha256sum ./*.o all
