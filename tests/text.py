"""What other programs make of texts, for text_test.cpp to compare: `text.py bleu OUT.json CORPORA` scores random corpora
with sacreBLEU (golden/bleu.json are the first 40 of them), `text.py bpe TEXT OUT.json SIZE` trains and applies Hugging
Face's byte-level BPE."""
import json
import random
import sys

command = sys.argv[1]
if command == "bleu":
    from sacrebleu.metrics import BLEU, CHRF

    draw = random.Random(20261121)
    words = ("the a cat dog runs, sits. 3.14 1,000 don't U.S. (very) \"big\" a-b 12- &amp; &quot; &lt;x&gt; <skipped> Ärger "
             "élan straße 我 是 一只 狗。 ！ “quote” … — x/y 50% $5 .,. ,a .b 99.9. ½ ² \u00a0 \u3000 Ω Ⅷ 🙂").split(" ")
    sentence = lambda: " ".join(draw.choice(words) for _ in range(draw.choice([0, 1, 1, 2, 3, 5, 8, 13, 21])))

    def change(text):
        w = text.split(" ")
        for _ in range(draw.randrange(5)):
            i = draw.randrange(len(w))
            w[i] = draw.choice([w[i].upper(), w[i][::-1], draw.choice(words), "", w[i] + " " + w[i]])
        return " ".join(w)

    cases = []
    for _ in range(int(sys.argv[3])):
        lines = draw.choice([0, 1, 1, 2, 5, 20])
        references = [[sentence() for _ in range(lines)] for _ in range(draw.choice([1, 1, 1, 2, 3]))]
        candidates = [change(line) if draw.random() < 0.8 else sentence() for line in references[0]]
        case = {"candidates": candidates, "references": references, "tokens": draw.choice(["13a", "zh", "none", "char"]),
                "lowercase": draw.random() < 0.3, "effective_order": draw.random() < 0.3, "bleu": 0, "chrf": 0}
        bleu = BLEU(tokenize=case["tokens"], lowercase=case["lowercase"], effective_order=case["effective_order"])
        if lines > 0:  # of nothing, sacreBLEU gives no score
            score = bleu.corpus_score(candidates, references)
            case["bleu"], case["text"] = score.score, score.format()
            case["signature"] = str(bleu.get_signature()).rsplit("|version", 1)[0]
            case["chrf"] = CHRF().corpus_score(candidates, references[:1]).score
        cases.append(case)
    json.dump(cases, open(sys.argv[2], "w"), ensure_ascii=False)
elif command == "bpe":
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    lines = open(sys.argv[2], newline="\n").read().split("\n")[:-1]
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    bpe.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=int(sys.argv[4]), min_frequency=2, special_tokens=["<pad>", "<s>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    merges = json.loads(bpe.to_str())["model"]["merges"]
    json.dump({"merges": [m if isinstance(m, str) else " ".join(m) for m in merges],
               "encodings": [bpe.encode(line).ids for line in lines]}, open(sys.argv[3], "w"))
else:
    sys.exit(f"unknown command {command}")
