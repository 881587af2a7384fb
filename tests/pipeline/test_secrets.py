"""Names of secrets, and names that only look like it."""

from __future__ import annotations

import pytest

from nbprod.pipeline.secrets import environment_name, looks_secret


@pytest.mark.parametrize(
    "name",
    ["password", "db_password", "PASSWORD", "dbPassword", "passwd", "secret", "client_secret", "token", "hf_token",
     "githubToken", "access_token", "id_token", "token_value", "api_tokens", "api_key", "apiKey", "APIKey", "apikey",
     "API_KEY_2", "openai_api_key", "access_key", "aws_access_key_id", "private_key", "secretKey", "credential",
     "credentials", "gcp_credentials", "user_password_hash", "senha", "passphrase"],
)  # fmt: skip
def test_a_secrets_name_is_recognised(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    ["tokenizer", "n_tokens", "nTokens", "token_count", "max_tokens", "max_token_length", "tokens", "prompt_tokens",
     "tokens_per_batch", "pad_token", "eos_token", "mask_token", "token_pattern", "token_id", "key", "keys", "sort_key",
     "primary_key", "public_key", "keyboard", "monkey", "secretary", "password_length", "password_column",
     "secret_name",
     "credentials_path", "api_key_env", "has_password", "n_secrets", "n_trees", "x", "_", "author", "compass",
     "turkey"],
)  # fmt: skip
def test_other_names_are_left_alone(name: str) -> None:
    assert not looks_secret(name)


def test_a_secret_is_given_an_environment_variable() -> None:
    assert environment_name("apiKey") == environment_name("api_key") == "API_KEY"
