"""Right answers of other kinds to the exercises of lab 12."""

import math

import torch
from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper


def by_reciprocal(logits, temperature):
    return logits * (1 / temperature)


def row_by_row(logits, temperature):
    return torch.stack([z / temperature for z in logits])


def top_k_by_sorting(logits, k):
    threshold = torch.sort(logits, dim=-1)[0][..., -k].unsqueeze(-1)
    return torch.where(logits >= threshold, logits, torch.tensor(float("-inf")))


def top_k_by_rank(logits, k):
    larger = (logits[..., None, :] > logits[..., :, None]).sum(-1)
    result = logits.clone()
    result[larger >= k] = float("-inf")
    return result


def top_k_of_hugging_face(logits, k):
    return TopKLogitsWarper(k)(None, logits)


def top_p_by_collecting(logits, p):
    """Row by row in plain Python, as the definition says."""
    result = torch.full_like(logits, float("-inf"))
    rows, out = logits.reshape(-1, logits.shape[-1]), result.reshape(-1, logits.shape[-1])
    for row, kept in zip(rows, out, strict=True):
        probabilities, total = row.softmax(-1).tolist(), 0.0
        while total < p:
            best = max(range(len(probabilities)), key=probabilities.__getitem__)
            total += probabilities[best]
            probabilities[best] = -1.0
            kept[best] = row[best]
    return result


def top_p_by_comparing(logits, p):
    """The mass before a token is the mass of all larger ones."""
    probabilities = logits.softmax(-1)
    larger = probabilities[..., None, :] > probabilities[..., :, None]
    mass_before = (larger * probabilities[..., None, :]).sum(-1)
    return logits.masked_fill(mass_before >= p, float("-inf"))


def top_p_by_shifting(logits, p):
    """The form that is found in many programs: mark what is beyond p, then shift the marks by one."""
    values, order = torch.sort(logits, descending=True)
    removed = values.softmax(-1).cumsum(-1) > p
    removed[..., 1:] = removed[..., :-1].clone()
    removed[..., 0] = False
    unsorted = order.argsort(-1)
    return logits.masked_fill(removed.gather(-1, unsorted), float("-inf"))


def top_p_of_hugging_face(logits, p):
    return TopPLogitsWarper(p)(None, logits.reshape(-1, logits.shape[-1])).reshape(logits.shape)


def min_p_in_logarithms(logits, p):
    return logits.masked_fill(logits < logits.max(dim=-1, keepdim=True).values + math.log(p), float("-inf"))


def min_p_by_ratio(logits, p):
    ratio = (logits - logits.amax(-1, keepdim=True)).exp()
    return torch.where(ratio < p, float("-inf"), logits)


def min_p_of_hugging_face(logits, p):
    return MinPLogitsWarper(p)(None, logits)


def complete_with_while(next_logits, prompt, max_new_tokens, stop_token):
    tokens = [*prompt]
    new = None
    while new != stop_token and len(tokens) < len(prompt) + max_new_tokens:
        new = torch.argmax(next_logits(tokens)).item()
        tokens += [new]
    return tokens


def complete_by_recursion(next_logits, prompt, max_new_tokens, stop_token):
    if max_new_tokens == 0:
        return prompt
    new = int(next_logits(prompt).argmax())
    if new == stop_token:
        return [*prompt, new]
    return complete_by_recursion(next_logits, [*prompt, new], max_new_tokens - 1, stop_token)


def complete_with_tensors(next_logits, prompt, max_new_tokens, stop_token):
    tokens = torch.tensor(prompt)
    for _ in range(max_new_tokens):
        new = next_logits(tokens).max(-1).indices
        tokens = torch.cat((tokens, new[None]))
        if new == stop_token:
            break
    return tuple(tokens)


RIGHT = {
    "apply_temperature": (by_reciprocal, row_by_row),
    "keep_top_k": (top_k_by_sorting, top_k_by_rank, top_k_of_hugging_face),
    "keep_top_p": (top_p_by_collecting, top_p_by_comparing, top_p_by_shifting, top_p_of_hugging_face),
    "keep_min_p": (min_p_in_logarithms, min_p_by_ratio, min_p_of_hugging_face),
    "complete": (complete_with_while, complete_by_recursion, complete_with_tensors),
}
