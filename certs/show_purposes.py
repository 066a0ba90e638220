"""What a certificate is shown for where no matter is: code → (Chinese, English). Pure. Short, so that a telephone shows all of them."""

PURPOSES: dict[str, tuple[str, str]] = {
    "identity": ("核对身份", "Prove who I am"),
    "qualification": ("证明资格或资质", "Prove a qualification or licence"),
    "entry": ("出入、入住登记", "Enter a place or check in"),
    "inspection": ("配合执法检查", "An inspection by an authority"),
    "contract": ("签约、租赁、开户", "Sign a contract, rent, open an account"),
}
