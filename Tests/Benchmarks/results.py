"""What was measured: one record for each model, batch and thread count, kept in a JSON file that is written after each."""
import json
import os


class Results:
    """`cases` in the order of measuring; `about` says where and when; the other parts are tables of their own."""
    PARTS = ("about", "limits", "cases", "start", "kernels", "profiles")

    def __init__(self, path=None):
        self.path, self.about, self.limits, self.cases, self.start, self.kernels, self.profiles = path, {}, {}, [], [], [], []

    @classmethod
    def load(cls, path):
        results = cls(path)
        if path and os.path.exists(path):
            with open(path) as file:
                stored = json.load(file)
            for part in cls.PARTS:
                if part in stored:
                    setattr(results, part, stored[part])
        return results

    def save(self):
        if not self.path:
            return
        os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        with open(self.path + ".part", "w") as file:
            json.dump({part: getattr(self, part) for part in self.PARTS}, file, indent=1)
            file.write("\n")
        os.replace(self.path + ".part", self.path)

    @staticmethod
    def key(case):
        return case["model"], case["batch"], case["threads"]

    def find(self, model, batch, threads):
        return next((case for case in self.cases if self.key(case) == (model, batch, threads)), None)

    def put(self, case):
        """Takes the place of an earlier measurement of the same."""
        for position, other in enumerate(self.cases):
            if self.key(other) == self.key(case):
                self.cases[position] = case
                return
        self.cases.append(case)

    def is_done(self, model, batch, threads, identity, keys):
        """True if all of `keys` were measured with this very ingot, or failed with it."""
        case = self.find(model, batch, threads)
        return bool(case) and case.get("ingot") == identity and all(key in case["peers"] for key in keys)
