import torch

from supernet.losses import agreement, level_error, si_snr


def test_the_level_error_is_zero_only_at_the_level_of_the_reference():
    speech = torch.randn(3, 1000)
    assert torch.allclose(level_error(speech, speech), torch.zeros(3), atol=1e-9)
    assert torch.allclose(level_error(0.5 * speech, speech), torch.full((3,), 0.25), atol=1e-6)
    assert (level_error(-speech, speech) > 3.9).all()  # SI-SNR does not mind the sign; a listener of two would


def test_noise_does_not_count_as_level():
    speech, noise = torch.randn(1, 100_000), torch.randn(1, 100_000)
    assert level_error(speech + noise, speech) < 1e-3


def test_a_silent_reference_has_no_level():
    estimate = torch.randn(1, 100, requires_grad=True)
    error = level_error(estimate, torch.zeros(1, 100))
    error.sum().backward()
    assert error.item() == 0
    assert estimate.grad.isfinite().all()


def test_si_snr_ignores_scale_and_offset():
    speech, estimate = torch.randn(2, 1000), torch.randn(2, 1000)
    assert torch.allclose(si_snr(estimate, speech), si_snr(3 * estimate + 1, speech), atol=1e-3)


def test_agreement_is_bounded_and_has_no_gradient_at_its_bound():
    teacher = torch.randn(2, 1000)
    near = (teacher + 1e-3 * torch.randn(2, 1000)).requires_grad_()
    agreement(near, teacher).sum().backward()
    assert (agreement(near, teacher) == 20).all()
    assert not near.grad.any()
