import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.Security;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.apache.pdfbox.cos.COSName;
import org.apache.pdfbox.pdmodel.PDDocument;
import org.apache.pdfbox.pdmodel.interactive.digitalsignature.PDSignature;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignerDigestMismatchException;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.SignerInformationVerifier;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.tsp.TimeStampToken;

/** Every signature and time stamp of PDFs with PDFBox and BouncyCastle, a line each: {@code FILE KIND verdict coverage [time]}. */
public class LevelReader {
    public static void main(String[] files) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        for (String file : files) {
            byte[] pdf = Files.readAllBytes(Path.of(file));
            try (PDDocument document = PDDocument.load(pdf)) {
                List<PDSignature> signatures = document.getSignatureDictionaries();
                signatures.sort(Comparator.comparingInt(one -> one.getByteRange()[1]));
                for (PDSignature signature : signatures) {
                    System.out.println(new File(file).getName() + " " + judge(signature, pdf));
                }
            }
        }
    }

    private static String judge(PDSignature signature, byte[] pdf) throws Exception {
        int[] range = signature.getByteRange();
        String coverage = range[0] == 0 && range[2] + range[3] == pdf.length ? "whole" : "part";
        byte[] covered = signature.getSignedContent(pdf);
        if ("ETSI.RFC3161".equals(signature.getSubFilter())) {
            String type = signature.getCOSObject().getNameAsString(COSName.TYPE);
            return type + " " + stamped(new TimeStampToken(new CMSSignedData(signature.getContents(pdf))), covered) + " " + coverage;
        }
        CMSSignedData message = new CMSSignedData(new CMSProcessableByteArray(covered), signature.getContents(pdf));
        SignerInformation signer = message.getSignerInfos().getSigners().iterator().next();
        X509CertificateHolder holder = (X509CertificateHolder) message.getCertificates().getMatches(signer.getSID()).iterator().next();
        return "Sig " + (holds(signer, holder) ? "good" : "bad") + " " + coverage + time(signer);
    }

    private static boolean holds(SignerInformation signer, X509CertificateHolder holder) throws Exception {
        try {
            return signer.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(holder));
        } catch (CMSSignerDigestMismatchException other) {
            return false;
        }
    }

    private static String time(SignerInformation signer) throws Exception {
        AttributeTable unsigned = signer.getUnsignedAttributes();
        Attribute attribute = unsigned == null ? null : unsigned.get(PKCSObjectIdentifiers.id_aa_signatureTimeStampToken);
        if (attribute == null) {
            return "";
        }
        byte[] encoded = attribute.getAttrValues().getObjectAt(0).toASN1Primitive().getEncoded();
        return " " + stamped(new TimeStampToken(new CMSSignedData(encoded)), signer.getSignature());
    }

    private static String stamped(TimeStampToken token, byte[] over) throws Exception {
        X509CertificateHolder holder = (X509CertificateHolder) token.getCertificates().getMatches(token.getSID()).iterator().next();
        SignerInformationVerifier verifier = new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(holder);
        token.validate(verifier);
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(over);
        boolean same = Arrays.equals(digest, token.getTimeStampInfo().getMessageImprintDigest());
        return (same ? "stamped" : "mismatched") + " " + token.getTimeStampInfo().getGenTime().toInstant();
    }
}
