/* Iterations for leakscope check, in C. Usage: looping HOW ITERATIONS, where HOW is
     leak     loses 64 bytes at each, and says so by the pipe that it keeps open
     clean    frees what it takes
     echo     as leak, but opens the pipe for each line, and waits for nobody
     crash    as clean, and is killed by a signal half way
     exits    as clean, and ends with 7 after the last
     fails    as clean, and ends with 7 half way
     silent   never says a word
     endless  as clean, and goes on until it is told to end
     stubborn as endless, and does not listen when it is told to
     steady   takes 16 KiB a millisecond for ever, and never says a word
     stalls   stops half way, for ever
     hasty    says all of its iterations at once, and stays for ever, with a mark each 100 ms */
#include "program.h"

#include <fcntl.h>
#include <signal.h>

static const char *how;

static int is(const char *word) { return strcmp(how, word) == 0; }

static void say(FILE *lines, FILE *answers) {
    const char *path = getenv("LEAKSCOPE_CTL");
    if (is("silent") || path == NULL)
        return;
    if (is("echo")) {
        FILE *once = fopen(path, "a");
        fputs("iteration\n", once);
        fclose(once);
        return;
    }
    fputs("sync\n", lines);
    fflush(lines);
    fgetc(answers);
}

NOINLINE void *keep_session(void) { return malloc(64); }

int main(int count, char **arguments) {
    (void)count;
    how = arguments[1];
    long iterations = atol(arguments[2]);
    const char *path = getenv("LEAKSCOPE_CTL"), *from = getenv("LEAKSCOPE_ACK");
    FILE *lines = path != NULL && !is("echo") ? fopen(path, "a") : NULL;
    FILE *answers = from != NULL && !is("echo") ? fopen(from, "r") : NULL;
    if (answers != NULL)
        setvbuf(answers, NULL, _IONBF, 0);
    if (is("stubborn"))
        signal(SIGTERM, SIG_IGN);
    if (is("endless")) {
        puts("begins");
        fflush(stdout);
    }
    if (is("hasty")) {
        fprintf(lines, "iteration %ld\n", iterations);
        fflush(lines);
    }
    for (; is("hasty"); usleep(100000)) {
        fputs("mark tick\n", lines);
        fflush(lines);
    }
    for (; is("steady"); usleep(1000))
        keep(malloc(16 << 10));
    int is_endless = is("endless") || is("stubborn");
    for (long i = 0; is_endless || i < iterations; i++) {
        void *session = keep_session();
        if (session == NULL)
            return 1;
        if (!is("leak") && !is("echo"))
            free(session);
        if (i == iterations / 2 && is("crash"))
            raise(SIGSEGV);
        if (i == iterations / 2 && is("fails"))
            return 7;
        while (i == iterations / 2 && is("stalls"))
            pause();
        say(lines, answers);
    }
    puts("iterated");
    return is("exits") ? 7 : 0;
}
