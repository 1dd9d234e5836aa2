def double(number):
    with open("/proc/self/oom_score_adj", "w") as score:
        return score.write("500")
