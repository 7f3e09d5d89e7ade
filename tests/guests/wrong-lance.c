/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wrong-lance LOG: replays the record of an Am79C970A on one that is wrong on purpose: it spoils
 * the last byte of every frame that it receives. Succeeds if the replay stops at the first event
 * where that shows, with a report.
 */
#include <devemu/devemu.h>

#include <stdio.h>
#include <string.h>

static const DevemuModel *right;

static size_t wrong_receive(void *state, const uint8_t *data, size_t len)
{
    g_autofree uint8_t *spoilt = g_memdup2(data, len);

    if (len > 0) {
        spoilt[len - 1] ^= 1;
    }
    return right->receive(state, spoilt, len);
}

int main(int argc, char **argv)
{
    g_autoptr(DevemuReplay) replay = NULL;
    g_autoptr(GError) error = NULL;
    DevemuModel wrong;

    right = devemu_model_find("am79c970a");
    wrong = *right;
    wrong.receive = wrong_receive;
    replay = argc == 2 ? devemu_replay_new(argv[1], &wrong, &error) : NULL;
    if (replay == NULL) {
        fprintf(stderr, "wrong-lance: %s\n", error ? error->message : "give a log");
        return 2;
    }
    if (devemu_replay_run(replay, &error) || error == NULL) {
        fprintf(stderr, "wrong-lance: a wrong card replayed to the same outputs\n");
        return 1;
    }
    printf("%s\n%s\n", error->message, devemu_replay_report(replay));
    if (strstr(devemu_replay_report(replay), "receive") == NULL) {
        fprintf(stderr, "wrong-lance: stopped, but not at a frame\n");
        return 1;
    }
    return 0;
}
